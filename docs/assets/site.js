// What is wider than the page scrolls: the keyboard must reach it.
const WIDE = ".md-typeset__scrollwrap:not([tabindex]), .md-typeset > pre:not([tabindex]), .dataframe:not([tabindex])";
document.addEventListener("DOMContentLoaded", () => {
  new MutationObserver(name).observe(document.body, { childList: true, subtree: true });
  name();
  function name() {
    for (const each of document.querySelectorAll(WIDE)) each.tabIndex = 0;
  }
});
