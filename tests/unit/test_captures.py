"""A function is pickled again exactly when that could give other bytes (or when it cannot be told)."""

from __future__ import annotations

import functools
import math
import random

import pytest

from jupyter_dsage.wire.captures import Captures, check_captured

rate = 1.0


def uses_global(x):
    return rate * x


def calls_another(x):
    return uses_global(x)


uses_global.__module__ = calls_another.__module__ = "__main__"  # as if typed in a notebook


def closing_over(value):
    def fn(x):
        return x, value

    return fn


def test_importable_function_is_always_the_same():
    assert Captures(math.sqrt).same(math.sqrt)
    assert Captures(closing_over).same(closing_over)


@functools.cache
def of_a_module():
    return GENERATOR.random()


GENERATOR = random.Random(0)


def test_a_cached_function_of_a_module_is_one_of_its_names():
    fn = closing_over(of_a_module)
    assert Captures(fn).same(fn)
    check_captured(fn)  # it stays where it is, with what it uses


def test_method_of_something_that_can_change_is_not():
    append = [].append
    assert not Captures(append).same(append)


def test_another_function_is_never_the_same():
    assert not Captures(closing_over(1)).same(closing_over(1))


@pytest.mark.parametrize("value", [1, 2.5, "text", None, b"x", math, math.sqrt, closing_over])
def test_unchanging_captures_are_the_same(value):
    fn = closing_over(value)
    assert Captures(fn).same(fn)


@pytest.mark.parametrize("value", [[1], {}, set(), object(), (1, [2])])
def test_what_can_change_is_never_taken_for_the_same(value):
    fn = closing_over(value)
    assert not Captures(fn).same(fn)


@pytest.mark.parametrize("fn", [uses_global, calls_another])
def test_changed_global_is_noticed_also_behind_a_call(fn, monkeypatch):
    captures = Captures(fn)
    assert captures.same(fn)
    monkeypatch.setitem(globals(), "rate", 2.0)
    assert not captures.same(fn)


def test_equal_values_of_another_type_are_a_change():
    def counter():
        value = 1

        def fn():
            return value

        def change(new):
            nonlocal value
            value = new

        return fn, change

    fn, change = counter()
    captures = Captures(fn)
    change(new=True)
    assert not captures.same(fn)


def test_empty_cell_is_no_error():
    def fn():
        return later

    captures = Captures(fn)
    assert captures.same(fn)
    later = 1
    assert not captures.same(fn)
    assert fn() == 1
