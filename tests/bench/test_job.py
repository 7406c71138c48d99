from mcp_llama.bench.job import ENDED, Answer, Batch, Job, Usage, When, batch_line, jobs_line, read_batch, read_jobs


def test_jobs_survive_the_way_to_the_worker() -> None:
    jobs = (
        Job(prompt="é\n", max_tokens=3, seed=7),
        Job(prompt="", max_tokens=1, seed=1, schema={"type": "object"}, start=When(((0, 2),), 0.5), cancel=When()),
        Job(prompt="", max_tokens=1, seed=1, cancel=When(((0, ENDED), (1, 0)))),
    )
    line = jobs_line(jobs)
    assert line.count(b"\n") == 1
    assert read_jobs(line) == jobs


def test_answers_survive_the_way_back() -> None:
    usage = Usage(prompt=3, completion=2, cached=1)
    batch = Batch(
        answers=(
            Answer(sent=1.0, arrivals=(1.25, 2.5), text="a\nb", usage=usage, admitted=1.125),
            Answer(sent=1.0, cancelled=2.0, error="no"),
        ),
        cpu_s=0.5,
    )
    line = batch_line(batch)
    assert line.count(b"\n") == 1
    assert read_batch(line) == batch
