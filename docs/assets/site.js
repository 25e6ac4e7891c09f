// A wide table scrolls: the keyboard must reach it.
document.addEventListener("DOMContentLoaded", () => {
  new MutationObserver(name).observe(document.body, { childList: true, subtree: true });
  name();
  function name() {
    for (const each of document.querySelectorAll(".md-typeset__scrollwrap:not([tabindex])")) each.tabIndex = 0;
  }
});
