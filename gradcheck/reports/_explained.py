"""The meaning of each column, one line each."""

EXPLANATIONS = {
    "version": "of the engine, as the engine states it",
    "verdict": "agrees, differs, undecided, or why there is no answer",
    "loss": "the value that the backend computed",
    "|error|": "the largest distance from the true value",
    "import s": "seconds to import the framework",
    "first s": "seconds for the first answer, with compilation",
    "python": "the interpreter that ran it",
    "gradient": "the array of derivatives that was judged",
    "in ulp": "the error in units in the last place of the true value",
    "of bound": "the error in units of the bound of all steps; above 1 is a proof",
    "of spread": "the error in standard deviations of rounding; above 32 is beyond rounding",
    "bound": "of all steps: the largest error of any correct program, from the inputs on; after `first wrong` that of "
    "the one step, from the backend's own values before it",
    "at": "the index of the entry with the largest error",
    "bad entries": "the entries that are refused",
    "median entry": "half of the entries are refused at a relative error above this",
    "99 % of entries": "99 % of the entries are refused at a relative error above this",
}
