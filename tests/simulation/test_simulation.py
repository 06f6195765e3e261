"""As many lives of a cluster and its backup as fit, each with its own faults: no promise is broken.

In a process of its own, for its hash seed is fixed: a seed that fails here fails there too, with
`python -m tests.simulation --first SEED --seeds 1`.
"""

import subprocess
import sys

import pytest

from tests.simulation.mutants import MUTANTS, terminating_written
from tests.simulation.plan import FAULTS, OF_REPLICAS, WORK, Plan, Step, describe, make
from tests.simulation.play import play, shortened
from tests.simulation.steps import Steps


def simulate(*arguments: str) -> str:
    """What it says; fails if it failed."""
    command = [sys.executable, "-m", "tests.simulation", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(600)
def test_whatever_goes_wrong_no_promise_is_broken() -> None:
    simulate("--seeds", "100000", "--seconds", "6", "--least", "100")


@pytest.mark.e2e
@pytest.mark.timeout(1200)
def test_nor_in_two_thousand_lives() -> None:
    simulate("--seeds", "2000")


@pytest.mark.timeout(600)
def test_each_of_some_small_bugs_is_caught() -> None:
    told = simulate("--mutants", "--seeds", "500")
    assert told.count("caught by seed") == len(MUTANTS) >= 10


def test_a_seed_replays_exactly() -> None:
    arguments = ("--seeds", "8", "--digests")
    once = simulate(*arguments, "--jobs", "1").splitlines()[:-1]
    assert once == simulate(*arguments, "--jobs", "2").splitlines()[:-1]
    assert len({line.split()[1] for line in once}) == 8


def test_a_plan_is_the_seed_s_alone_and_names_steps_that_exist() -> None:
    assert make(7) == make(7) != make(8)
    known = WORK | FAULTS | OF_REPLICAS
    assert all(hasattr(Steps, name) for name in known)
    assert set(known) == {step.what for seed in range(300) for step in make(seed).steps}


def test_a_failure_is_told_with_its_seed_its_sizes_and_as_few_steps_as_it_takes() -> None:
    noise = [Step(float(at), "churn", ("pods", "ns0", "n0")) for at in range(20)]
    guilty = (
        Step(20.0, "set", ("secrets", "ns0", "n0", "A")),
        Step(30.0, "end_slowly", ("secrets", "ns0", "n0", "B")),
    )
    calm = next(plan for plan in map(make, range(100)) if plan.sizes.processes == 1)
    plan = Plan(calm.seed, calm.sizes, {}, (*noise, *guilty))
    with terminating_written():
        failed = play(plan)
        short = shortened(failed)
    assert short.plan.steps == guilty
    report = short.report()
    assert f"seed {plan.seed}" in report
    assert describe(short.plan) in report
    assert "FAILED: frozen: a.0 PUT ns0/secret/n0.yaml" in report
    assert not play(plan).failure
