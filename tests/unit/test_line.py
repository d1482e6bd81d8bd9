"""The lines of the magics: taken apart, completed, and refused in one sentence each."""

from __future__ import annotations

import ast
import doctest

import pytest

from jupyter_dsage.errors import UsageError
from jupyter_dsage.notebook import completion, line, loop, options, verbs
from jupyter_dsage.notebook.line import Line, parse


def loop_of(text):
    return loop.Loop(ast.parse(f"(None {text}\n)"), text)


def jobs_of(text, **names):
    return loop_of(text).jobs(names, lambda tree: compile(tree, "<line>", "eval"))


@pytest.mark.parametrize("module", [options, line, verbs])
def test_what_the_docstrings_show_is_so(module):
    assert doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE).failed == 0


@pytest.mark.parametrize(
    "text",
    [
        "hist for x in range(9) --limit 2 --wait",
        "--limit 2 --wait hist for x in range(9)",
        "hist --wait --limit=2 for x in range(9)",
        "--wait hist   for x in range(9) --limit 2  # as you like",
    ],
)
def test_options_stand_before_the_name_behind_it_or_at_the_end(text):
    said = parse(text)
    assert (said.name, said.loops, said.text, said.limit, said.wait) == ("hist", True, "for x in range(9)", 2, True)
    assert text[said.start :].startswith(said.text)


def test_every_option_is_read():
    said = parse("--into 'old one' --session s --limit 3 --retries 0 --wait --quiet using jobs")
    assert said == Line(None, False, "jobs", 72, "old one", "s", 3, 0, wait=True, quiet=True)  # noqa: FBT003


@pytest.mark.parametrize(
    ("text", "loop_text"),
    [
        ("h for x in f('a # b', \" --wait \") # c", "for x in f('a # b', \" --wait \")"),
        ("h for x in [1, 2 --limit]", "for x in [1, 2 --limit]"),
        ("h for(a, b)in z", "for(a, b)in z"),
        ("h for x in '''it's''' if x", "for x in '''it's''' if x"),
        (r"h for x in 'it\'s # one'", r"for x in 'it\'s # one'"),
        ("h for x in a for y in b if x if y --quiet", "for x in a for y in b if x if y"),
        ("h using [((1,), {'a': 2})]", "[((1,), {'a': 2})]"),
    ],
)
def test_strings_and_brackets_hold_together(text, loop_text):
    assert parse(text).text == loop_text


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "Nothing says what to scatter, as in: hist for x in range(100)."),
        ("# only a comment", "Nothing says what to scatter"),
        ("--wait", "Nothing says what to scatter"),
        ("hist", "After the name 'hist' comes what to scatter, as in: hist for x in range(100)."),
        ("hist in range(3)", "After the name 'hist' comes 'for' or 'using', not 'in'."),
        ("for x in range(3)", "A name is missing before 'for', as in: hist for x in range(100)."),
        ("using jobs", "A name is missing before 'using', as in: hist using inList."),
        ("hist using", "'using' wants (args, kwargs) pairs after it"),
        ("hist using --wait", "'using' wants (args, kwargs) pairs after it"),
        ("2x for x in y", "'2x' is no name for a batch: it must be a Python name, such as hist."),
        ("a.b for x in y", "'a.b' is no name for a batch"),
        ("class for x in y", "'class' is no name for a batch"),
        ("hist async for x in y", "'async for' has no place here"),
        ("hist for x in y --limits 2", "There is no option --limits; did you mean --limit?"),
        ("hist for x in y --zzz", "There is no option --zzz; there is --into, --session, --limit"),
        ("hist for x in y --limit", "--limit wants a number after it."),
        ("hist for x in y --limit --wait", "--limit wants a number after it."),
        ("hist for x in y --limit two", "--limit takes a number of at least 1, not 'two'."),
        ("hist for x in y --limit 0", "--limit takes a number of at least 1, not '0'."),
        ("hist for x in y --timeout soon", "'soon' is no time: give a number above 0"),
        ("hist for x in y --timeout 0", "'0' is no time"),
        ("hist for x in y --memory lots", "'lots' is no amount of memory: give a number with MB or GB behind it"),
        ("hist for x in y --priority 1.5", "'1.5' is no whole number."),
        (
            "hist for x in y --engine a,,b",
            "'a,,b' is no list of names: write them with commas between",
        ),
        ("hist for x in y --resources gpu", "'gpu' names no resources: 'gpu' has no amount; try gpu=1"),
        (
            "hist for x in y --resources gpu=0",
            "'gpu=0' names no resources: 0 is no amount of gpu: it is a whole number",
        ),
        ("hist for x in y --at-most-once=1", "--at-most-once takes no value"),
        ("hist for x in y --retries -1", "--retries takes a number of at least 0, not '-1'."),
        ("hist for x in y --wait=3", "--wait takes no value, so '3' is too much."),
        ("hist for x in y --wait --wait", "--wait is given twice."),
        ("hist for x in y --into", "--into wants a batch after it."),
        ("hist for x in y --session", "--session wants a session's name after it."),
        ("hist for x in y --wait z", "'z' stands behind the options at the end"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(text, sentence):
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


# --- loops -----------------------------------------------------------------------------------------------------


def test_one_variable_gives_the_iterable_itself():
    numbers = [1, 2]
    jobs = jobs_of("for x in numbers", numbers=numbers)
    assert jobs.bare
    assert jobs.jobs is numbers


@pytest.mark.parametrize(
    ("text", "names", "values"),
    [
        ("for a, b in z", ("a", "b"), [(1, 2), (3, 4)]),
        ("for [a, b] in z if a > 1", ("a", "b"), [(3, 4)]),
        ("for a, *b in z", ("a", "b"), [(1, [2]), (3, [4])]),
        ("for x in range(4) if x % k if x > 1", ("x",), [(3,)]),
        ("for x in range(3) for y in range(x)", ("x", "y"), [(1, 0), (2, 0), (2, 1)]),
        ("for x in [5] for x in range(2)", ("x",), [(0,), (1,)]),
        ("for _, (b, _) in [(1, (2, 3))]", ("_", "b"), [(3, 2)]),
        ("for x, y in z if any(k == v for v in (x, y))", ("x", "y"), [(1, 2)]),
    ],
)
def test_anything_else_gives_pairs(text, names, values):
    jobs = jobs_of(text, z=[(1, 2), (3, 4)], k=2)
    assert loop_of(text).names == names
    assert not jobs.bare
    assert list(jobs.jobs) == [(value, {}) for value in values]


def test_a_list_keeps_its_length_and_a_generator_is_drawn_as_needed():
    assert len(jobs_of("for a, b in z", z=[(1, 2)]).jobs) == 1
    drawn = []
    jobs = jobs_of("for a, b in (drawn.append(n) or (n, n) for n in range(9))", drawn=drawn).jobs
    assert drawn == []
    assert next(jobs) == ((0, 0), {})


def test_names_are_those_of_the_call():
    names = {"k": 2}
    jobs = loop_of("for x in range(3) if x != k").jobs(names, lambda tree: compile(tree, "<line>", "eval"))
    names["k"] = 0
    assert [args for args, _ in jobs.jobs] == [(0,), (1,)]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("for a.b in z", "'a.b' is no variable"),
        ("for a[0] in z", "'a[0]' is no variable"),
        ("async for x in z", "'async for' has no place here"),
        ("for x in z) + (1", "'for x in z) + (1' is no loop"),
    ],
)
def test_what_is_no_loop_is_said_in_one_sentence(text, sentence):
    with pytest.raises(UsageError) as caught:
        loop_of(text)
    assert str(caught.value).startswith(sentence)


# --- completion --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "%%scatter --",
            [
                "--into",
                "--session",
                "--limit",
                "--retries",
                "--timeout",
                "--memory",
                "--at-most-once",
                "--priority",
                "--engine",
                "--resources",
                "--wait",
                "--quiet",
                "--replace",
            ],
        ),
        ("%%scatter hist for x in y --wait --w", []),
        ("%%scatter hist for x in y --l", ["--limit"]),
        ("%%scatter hist ", ["for", "using"]),
        ("%%scatter hist u", ["using"]),
        ("%%scatter --limit 3 ", []),
        ("%%scatter --limit 3 hist ", ["for", "using"]),
        ("%%scatter --limit ", []),
        ("%%scatter hist for x in ra", []),
        ("%dsage p", ["pause", "ps"]),
        ("%dsage die --", ["--session", "--all", "--force"]),
        ("%dsage start --n", ["--name"]),
        ("%dsage nonsense ", []),
        ("%dsage e", ["engine"]),
        ("%dsage engine ", ["add", "remove", "scale"]),
        ("%dsage engine --session x re", ["remove"]),
        ("%dsage engine add ", []),
        ("%dsage engine remove ", []),
        ("%dsage engine remove x --", ["--session", "--now"]),
        ("x = 1", []),
        ("", []),
    ],
)
def test_completion_knows_what_may_follow(text, found):
    assert completion.candidates(text, {}) == found


# --- %dsage, where no session is needed --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "%dsage wants a verb: start, status"),
        ("pasue", "There is no verb 'pasue'; did you mean pause?"),
        ("xyz", "There is no verb 'xyz'; there is start, status"),
        ("status now", "'%dsage status' takes no words behind it, so 'now' is too much."),
        ("pause --wait", "There is no option --wait; there is --session."),
        ("log many", "'%dsage log' takes one number of lines of at least 1, not 'many'."),
        ("log 0", "'%dsage log' takes one number of lines of at least 1, not '0'."),
        ("die --all --session x", "--all and --session contradict each other."),
        ("engine", "'%dsage engine' wants: add URL, remove URL [--now], or scale URL SLOTS."),
        ("engine add", "'%dsage engine' wants: add URL, remove URL [--now], or scale URL SLOTS."),
        ("engine add local: --now", "'%dsage engine' wants: add URL, remove URL [--now], or scale URL SLOTS."),
        ("engine scale local: many", "'%dsage engine' wants: add URL, remove URL [--now], or scale URL SLOTS."),
        ("engine drop local:", "'%dsage engine' wants: add URL, remove URL [--now], or scale URL SLOTS."),
    ],
)
def test_a_wrong_verb_is_told_in_one_sentence(text, sentence):
    with pytest.raises(UsageError) as caught:
        verbs.run(text, {})
    assert str(caught.value).startswith(sentence)


def test_engines_and_resources_belong_to_the_cell_that_makes_a_batch():
    said = parse("h for x in y --engine local,ssh://me@lab7 --resources=gpu=1,licence=2")
    assert said.fixed == {"engine": ("local", "ssh://me@lab7"), "resources": {"gpu": 1, "licence": 2}}


def test_a_number_behind_a_batchs_name_is_no_comment_where_a_batch_is_named():
    assert parse("--into o#1 for x in y").into == "o#1"
    assert parse("--into=o#1 for x in y  # none").into == "o#1"
    assert parse("o for x in xs#1").text == "for x in xs"
    assert [word.text for word in options.words("cancel o#1 p#22 q# 1", numbered=True)] == [
        "cancel",
        "o#1",
        "p#22",
        "q",
    ]
    assert [word.text for word in options.words("cancel o#1")] == ["cancel", "o"]
