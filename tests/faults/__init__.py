"""Faults that once caused failures, in five classes; each is a test in the file of its class.

Results: nothing wrong passes.

- `test_not_finite`: NaN and infinities in records and answers, printed or not; records with too few decimals.
- `test_estimates`: estimates, slopes and directions that are invalid, and those that change from call to call. -
`test_nothing_compared`: inputs that underflow, nothing that was run, gradients that end their process. -
`test_functions`: problems given as functions, on a full disk and by many processes at once.

Isolation: one backend is apart from the others.

- `test_isolation`: files, folders, inputs and pipes of programs; buffers that are used again; sessions and threads.
- `test_replies`: odd replies of programs, and replies that would flood a report.

Endings: no process and no folder is left, and no report is lost.

- `test_signals`, `test_dropped_signals`: signals at many moments, and in code whose exceptions Python drops. -
`test_left_behind`, `test_killed`: daemons, SIGKILL, folders of dead runs. - `test_outputs`: closed pipes, full disks,
reports that cannot be written.

Inputs: they are data.

- `test_records`, `test_settings`: hostile records, archives and TOML files.
- `test_trust`, `test_caches`: which files are run; caches that another user could have changed.
- `test_escaping`: control characters, markup, narrow terminals.
- `test_problem_code`: problems that exit, print, never end, change NumPy, or state odd shapes and names.

Defects that users met. - `test_returned_values`: wrong return values of gradients.

`test_fuzz` puts anything wrong into records, archives, inputs, settings and replies, by the `mutations` beside it. The
programs are in `tests/fakes`: `harmful`, `replies`, `witness`, `program` and `replay`; `endings` checks for leftovers.
"""
