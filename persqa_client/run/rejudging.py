"""Judges kept raw answers by today's cleaning, repairs and checks."""

from __future__ import annotations

from dataclasses import replace

from persqa_client.answers.doubts import find_doubts
from persqa_client.answers.parse import check_answer, parse_answer
from persqa_client.config import VerifyChoice
from persqa_client.outcomes import AskedTask, Failure, Outcome, RawAnswer, Record
from persqa_client.questions.prompts import build_prompt
from persqa_client.questions.tasks import TaskMaker
from persqa_client.run.kept_answers import KeptAnswers
from persqa_client.run.pipeline import Cost, make_answer_failure
from persqa_client.run.verification import DOUBTS, NOT_VERIFIED, needs_verification
from persqa_client.types import Completion, Problem, Row, Task, TaskId, Usage

# Steps that are not made by cleaning and repair.
HELPERS = ("constraint", "prefill")
# Problems that were not found in the text, but by asking the model; they stay.
ASKED_PROBLEMS: dict[str, Problem] = {NOT_VERIFIED.code: NOT_VERIFIED}

# Doubts that come from what the run asked, not from the text.
RUN_DOUBTS = frozenset(("re_asked", *(code for codes in DOUBTS.values() for code in codes)))


def judge_answers(answers: KeptAnswers, maker: TaskMaker, max_tokens: int, verify: VerifyChoice = "off") -> Outcome:
    """The outcome of the first answer that passes, or a failure with the problem of the last one.

    ``maker`` makes tasks without a surrogate; ``max_tokens`` is the limit of answers that were kept without theirs;
    ``verify`` says which answers the run asked the model about.
    """
    if answers.task is None or not answers.raws:
        return answers.outcome
    task = rebuild_task(maker, answers.outcome.task_id, answers.task)
    judged: list[RawAnswer] = []
    problem: Problem | None = None
    for number, raw in enumerate(answers.raws):
        completion = make_completion(raw)
        answer = parse_answer(completion, task)
        problem = check_answer(completion, answer, task, raw.max_tokens or max_tokens)
        problem = problem or ASKED_PROBLEMS.get(raw.problem or "")
        helpers = [step for step in raw.steps if step in HELPERS]
        code = problem.code if problem is not None else None
        judged.append(raw._replace(problem=code, steps=(*helpers, *answer.steps)))
        if problem is None:
            raws = (*judged, *answers.raws[number + 1 :])
            return accept(answers.outcome, task, answer.text, raws, number, verify)
    assert problem is not None
    return reject(answers.outcome, task, problem, tuple(judged))


def make_completion(raw: RawAnswer) -> Completion:
    return Completion(
        raw.text,
        raw.finish_reason,
        Usage(raw.prompt_tokens, raw.completion_tokens),
        raw.model,
        raw.refusal,
        raw.sent_finish_reason,
    )


def rebuild_task(maker: TaskMaker, task_id: TaskId, asked: AskedTask) -> Task:
    """The task, with today's prompt and checks."""
    row = Row(task_id.row, b"", (), question=asked.question, tag=asked.tag, category=asked.category)
    task = replace(
        maker.make_task(row, task_id),
        kind=asked.kind,
        seed=asked.seed,
        strategy=asked.strategy,
        question_id=asked.question_id,
        surrogate=asked.surrogate,
    )
    if asked.surrogate is None:
        return task
    question = asked.question.replace(asked.tag, asked.surrogate)
    system, prompt = build_prompt(question, asked.surrogate, asked.category or maker.category)
    return replace(task, system=system, prompt=prompt)


def accept(
    before: Outcome, task: Task, text: str, raws: tuple[RawAnswer, ...], number: int, verify: VerifyChoice
) -> Record:
    chosen = raws[number]
    verification = None
    if isinstance(before, Record) and before.answer == text:
        # How often it was asked, and what the model said of it, is as before.
        doubts = tuple(code for code in before.doubts if code in RUN_DOUBTS)
        doubts += find_doubts(text, task, chosen.steps, None)
        is_re_asked = "re-ask" in before.made_good_by
        verification = before.verification
    else:
        doubts = find_doubts(text, task, chosen.steps, raws[0].problem if number > 0 else None)
        is_re_asked = number > 0 or before.asks > len(raws)
        # The model was asked about another text, or not at all.
        if needs_verification(verify, doubts):
            doubts += DOUBTS["failed"]
    return Record(
        task_id=before.task_id,
        kind=task.kind,
        tag=task.tag,
        question=task.question,
        answer=text,
        raw=chosen.text,
        seed=task.seed,
        model=chosen.model or (before.model if isinstance(before, Record) else None),
        finish_reason=chosen.sent_finish_reason or chosen.finish_reason,
        usage=before.usage,
        attempts=before.attempts,
        asks=before.asks,
        made_good_by=(*chosen.steps, *(["re-ask"] if is_re_asked else [])),
        refused=before.refused,
        strategy=task.strategy,
        question_id=task.question_id,
        category=task.category,
        pictures=before.pictures,
        doubts=doubts,
        verification=verification,
        surrogate=task.surrogate,
        raws=raws,
    )


def reject(before: Outcome, task: Task, problem: Problem, raws: tuple[RawAnswer, ...]) -> Failure:
    last = raws[-1]
    raw = last.refusal or last.text
    cost = Cost(
        attempts=before.attempts,
        usage=before.usage,
        asks=before.asks,
        refused=before.refused,
        raw=raw,
        verification=before.verification,
        raws=list(raws),
        pictures=before.pictures,
    )
    return make_answer_failure(task, problem, cost)
