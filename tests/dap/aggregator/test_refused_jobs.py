"""What the Leader concludes from jobs that a Helper refuses whole."""

from secagg.dap.aggregator.refused_jobs import RefusedJobs, Remedy

TASK, JOB, HALF, OTHER = 1, 10, 11, 12


def test_a_refused_job_is_halved() -> None:
    assert RefusedJobs().remedy(TASK, JOB, 4) is Remedy.HALVE


def test_a_report_by_itself_waits_until_the_helper_accepts_another_job() -> None:
    jobs = RefusedJobs()
    assert jobs.remedy(TASK, JOB, 1) is Remedy.WAIT
    assert jobs.remedy(TASK, JOB, 1) is Remedy.WAIT
    jobs.accepted(TASK, OTHER)
    assert jobs.remedy(TASK, JOB, 1) is Remedy.DROP


def test_jobs_of_another_task_tell_nothing() -> None:
    jobs = RefusedJobs()
    assert jobs.remedy(TASK, JOB, 1) is Remedy.WAIT
    jobs.accepted(TASK + 1, OTHER)
    assert jobs.remedy(TASK, JOB, 1) is Remedy.WAIT
    assert jobs.remedy(TASK + 1, OTHER, 2) is Remedy.HALVE


def test_nothing_is_halved_while_the_fault_may_be_the_helper_s() -> None:
    jobs = RefusedJobs()
    assert jobs.remedy(TASK, JOB, 1) is Remedy.WAIT
    assert jobs.remedy(TASK, OTHER, 4) is Remedy.WAIT
    jobs.accepted(TASK, HALF)
    assert jobs.remedy(TASK, OTHER, 4) is Remedy.HALVE


def test_a_half_was_refused_when_the_whole_was() -> None:
    """So that the report at fault is dropped at once where the other half is accepted before it."""
    jobs = RefusedJobs()
    assert jobs.remedy(TASK, JOB, 2) is Remedy.HALVE
    jobs.halved(JOB, HALF)
    jobs.accepted(TASK, JOB)
    assert jobs.remedy(TASK, HALF, 1) is Remedy.DROP


def test_a_job_that_was_accepted_begins_anew() -> None:
    jobs = RefusedJobs()
    assert jobs.remedy(TASK, JOB, 2) is Remedy.HALVE
    jobs.accepted(TASK, JOB)
    assert jobs.remedy(TASK, JOB, 1) is Remedy.WAIT


def test_a_job_that_has_ended_is_forgotten() -> None:
    jobs = RefusedJobs()
    assert jobs.remedy(TASK, JOB, 1) is Remedy.WAIT
    jobs.accepted(TASK, OTHER)
    jobs.forget(JOB)
    assert jobs.remedy(TASK, JOB, 1) is Remedy.WAIT
