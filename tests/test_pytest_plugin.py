"""The plug-in, in pytest runs of its own: the failure message is the finding."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import FAKES

pytest_plugins = ["pytester"]
CACHE = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")


@pytest.fixture(autouse=True)
def files(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    monkeypatch.setenv("XDG_CACHE_HOME", CACHE)  # pytester has a home of its own, without environments
    pytester.makepyfile(layer=(FAKES / "faulty.py").read_text())


def test_a_check_that_passes(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_layer(gradcheck):
            reports = gradcheck("layer.py", k=4, seeds=range(5), backends=["right"])
            assert [report.case.seed for report in reports] == [0, 1, 2, 3, 4]
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_the_failure_message_is_the_finding(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_layer(gradcheck):
            gradcheck("layer.py", k=2, backends=["right", "one_entry_off"])
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "one_entry_off: differs (proved): dL/db is proved wrong in 1 of 4 entries",
            "*first wrong: dL/db[[]0[]][[]0[]] = * off by *, bound *, in 1 of 4",
            "*worst: dL/db[[]0[]][[]0[]] = *, true *: off by *, bound of all steps *",
            "again: gradcheck run *layer.py --k 2 --seed 0 --dtype float64 --backend right --backend one_entry_off",
        ]
    )
    assert "pytest_plugin.py" not in result.stdout.str(), "no traceback of gradcheck"


def test_every_bad_seed_is_reported(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_layer(gradcheck):
            gradcheck("layer.py", k=2, seeds=range(3, 6), backends=["wrong_sign"])
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "3 of 3 seeds do not agree: 3, 4, 5",
            "wrong_sign: differs (proved): *",
            "again: gradcheck run *layer.py --k 2 --seed 3 *",
            "seed 4: wrong_sign: differs (proved): *",
            "again: gradcheck run *layer.py --k 2 --seed 4 *",
            "seed 5: wrong_sign: *",
        ]
    )


def test_workers_are_reused_over_the_session(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import time
        import pytest
        spent = []

        @pytest.mark.parametrize("seed", range(10))
        def test_layer(gradcheck, seed):
            began = time.perf_counter()
            gradcheck("sigmoid_skip", seed=seed, backends=["numpy", "torch"])
            spent.append(time.perf_counter() - began)

        def test_only_the_first_was_slow():
            assert sorted(spent[1:])[4] < spent[0] / 10
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=11)


def test_a_seed_beside_seeds_is_refused(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        'def test_layer(gradcheck):\n    gradcheck("layer.py", seed=7, seeds=[1], backends=["right"])\n'
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*seed=7: expected none where seeds are given*"])


def test_one_number_as_seeds_fails_in_one_line(pytester: pytest.Pytester) -> None:
    pytester.makepyfile('def test_layer(gradcheck):\n    gradcheck("layer.py", seeds=3, backends=["right"])\n')
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    expected = "seeds=3: expected several whole numbers, such as range(3); of a single one write seed=3"
    assert expected in result.stdout.str().splitlines()


def test_no_seeds_mean_no_check(pytester: pytest.Pytester) -> None:
    pytester.makepyfile('def test_layer(gradcheck):\n    gradcheck("layer.py", seeds=[], backends=["right"])\n')
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*seeds is empty*"])


def test_a_request_that_is_wrong_fails_in_one_line(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_layer(gradcheck):
            gradcheck("layer.py", k=2, backends=["rigth"])
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["backend 'rigth': unknown: *"])
    failure, _ = result.stdout.str().split("short test summary info")  # where CI is set, it repeats the whole line
    assert failure.count("backend 'rigth'") == 1
    assert "pytest_plugin.py" not in result.stdout.str(), "no traceback of gradcheck"


def test_a_check_without_a_problem_fails_in_one_line(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_layer(gradcheck):\n    gradcheck(loss=abs, inputs={})\n")
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*check(loss=..., inputs=...): no problem: expected a loss, a name or a path first"])


def test_a_path_may_start_from_the_root_folder_of_pytest(pytester: pytest.Pytester) -> None:
    folder = pytester.mkdir("tests")
    (folder / "test_layer.py").write_text("def test_layer(gradcheck): gradcheck('layer.py', k=2, backends=['right'])")
    pytester.makeini("[pytest]")
    pytester.runpytest_subprocess(folder).assert_outcomes(passed=1)
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_hypothesis_draws_inputs_and_finds_the_smallest_bad_ones(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(huber=(FAKES / "huber.py").read_text())
    pytester.makepyfile(
        """
        import numpy as np
        from hypothesis import given, settings, strategies as st

        numbers = st.lists(st.integers(-4, 4).map(float), min_size=1, max_size=1).map(np.array)

        @settings(deadline=None, database=None, derandomize=True)
        @given(w=numbers, y=numbers)
        def test_huber(gradcheck, w, y):
            gradcheck("huber.py", {"X": np.ones((1, 1)), "w": w, "y": y})

        @settings(deadline=None, database=None, derandomize=True, max_examples=5)
        @given(y=numbers)
        def test_one_branch(gradcheck, y):
            gradcheck("huber.py", {"X": np.ones((1, 1)), "w": y + 0.5, "y": y})
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(
        [
            "*mine: differs (proved): dL/dw is proved wrong",
            "*again: gradcheck run *huber.py --k 1 --seed 0 --dtype float64 --inputs *.npz",
        ]
    )
    smallest = np.load(re.search(r"--inputs (\S+)", result.stdout.str())[1])
    assert {name: smallest[name].tolist() for name in ("w", "y")} == {"w": [0.0], "y": [3.0]}
    assert "pytest_plugin.py" not in result.stdout.str(), "no traceback of gradcheck"


def test_arrays_are_one_case_whatever_the_seeds(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_layer(gradcheck):\n    gradcheck('layer.py', {'a': [1.0]}, seeds=[1, 2])\n")
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*seeds: expected none where inputs are arrays: they are one case"])
