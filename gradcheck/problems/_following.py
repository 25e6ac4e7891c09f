"""The lines on which a function gives the arrays that it returns their values, followed through calls.

Syntax trees are followed and no code runs. A mapping, a tuple and an object are followed into the user's own function
that returns them; a single array is not: its line is the one that assigns it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gradcheck.problems._definitions import Assignment, Definition, MethodCall, definition_of, methods_of

MOST_CALLS = 1000
"""The largest number of calls that are followed for one function."""
MAPPINGS = ("dict", "OrderedDict", "defaultdict")


@dataclass(frozen=True, eq=False)
class Leaf:
    """A value that is not followed further: the expression or statement that computes it."""

    node: ast.expr | ast.stmt
    definition: Definition


@dataclass(frozen=True, eq=False)
class Items:
    """A tuple or list."""

    items: Sequence[Found]


@dataclass(frozen=True, eq=False)
class Entries:
    """A mapping with names as keys."""

    entries: Mapping[str, Found]

    def merged(self, other: Found) -> Found:
        """The same with the entries of another mapping."""
        return Entries({**self.entries, **other.entries}) if isinstance(other, Entries) else self


@dataclass(frozen=True, eq=False)
class Instance:
    """An object of a class, and the methods that were called on it, in order."""

    owner: type
    called: tuple[str, ...] = ()

    def methods(self) -> list[str]:
        """The called methods and those that they call, in order; every method if no call is known."""
        found = [name for method in ("__init__", *self.called) for name in self._with_inner(method, ())]
        return found if self.called else list(methods_of(self.owner))

    def _with_inner(self, name: str, outer: tuple[str, ...]) -> Iterator[str]:
        definition = definition_of(methods_of(self.owner).get(name), "")
        if definition is None or not definition.parameters or name in outer:
            return
        for use in definition.uses.get(definition.parameters[0], ()):
            if isinstance(use, MethodCall):
                yield from self._with_inner(use.method, (*outer, name))
        yield name


Found = Leaf | Items | Entries | Instance
Later = Callable[[], Found]


@dataclass(frozen=True, eq=False)
class Scope:
    """A call of a function.

    Attributes:
        definition: of the function.
        names: the keys that a mapping has if its text does not list them.
        bound: the values of its parameters, as far as they are known.
        loop: the values of the variables of a loop or a comprehension in one of its turns.
        budget: as many numbers as calls may still be followed.
    """

    definition: Definition
    names: Sequence[str]
    bound: Mapping[str, Later] = field(default_factory=dict)
    loop: Mapping[str, Found] = field(default_factory=dict)
    budget: Iterator[int] = field(default_factory=lambda: iter(range(MOST_CALLS)))
    _known_values: dict[tuple[int, int], Found] = field(default_factory=dict, init=False)

    def returned(self) -> Found | None:
        """The value that its last `return` returns, or None if there is none."""
        statements = list(enumerate(self.definition.statements))
        for place, statement in reversed(statements):
            if isinstance(statement, ast.Return) and statement.value is not None:
                return self.value(statement.value, place)
        return None

    def variable(self, name: str) -> Found | None:
        """The value of a variable at its end, or None if no statement assigns it."""
        return self._history(name, len(self.definition.statements))

    def value(self, expression: ast.expr, place: int) -> Found:
        """The value of an expression.

        Args:
            expression: the expression.
            place: the number of its statement: only statements before it have assigned its variables.
        """
        handler = {
            ast.Name: self._name,
            ast.Attribute: self._attribute,
            ast.Tuple: self._items,
            ast.List: self._items,
            ast.Dict: self._entries,
            ast.DictComp: self._comprehension,
            ast.Call: self._call,
            ast.Subscript: self._subscript,
            ast.BinOp: self._union,
        }.get(type(expression))
        if (id(expression), place) not in self._known_values:
            found = handler(expression, place) if handler else None  # type: ignore[operator]
            self._known_values[id(expression), place] = found or Leaf(expression, self.definition)
        return self._known_values[id(expression), place]

    def _name(self, node: ast.Name, place: int) -> Found | None:
        if node.id in self.loop:
            return self.loop[node.id]
        found = self._history(node.id, place)
        if found is not None:
            return found
        if node.id in self.bound:
            return self.bound[node.id]()
        known = self.definition.known(node)
        if isinstance(known, (tuple, list)) and all(isinstance(each, str) for each in known):
            return Items([self._constant(each) for each in known])
        return self._object(known)

    def _object(self, known: object) -> Found | None:
        """An object of a user's class that exists already."""
        has_source = any(self._definition(method) for method in methods_of(type(known)).values())
        return Instance(type(known)) if has_source else None

    def _attribute(self, node: ast.Attribute, place: int) -> Found | None:
        owner = self.value(node.value, place)
        found = self._of_instance(owner, node.attr) if isinstance(owner, Instance) else None
        return self._history(ast.unparse(node), place, found) or self._object(self.definition.known(node))

    def _of_instance(self, owner: Instance, attribute: str) -> Found | None:
        """The value of an attribute after the methods that were called."""
        found: Found | None = None
        for name in owner.methods():
            scope = self._inner(methods_of(owner.owner).get(name), [lambda: owner], {})
            if scope is not None and scope.definition.parameters:
                key = f"{scope.definition.parameters[0]}.{attribute}"
                found = scope._history(key, len(scope.definition.statements), found)
        return found

    def _items(self, node: ast.Tuple | ast.List, place: int) -> Found:
        return Items([self.value(each, place) for each in node.elts])

    def _entries(self, node: ast.Dict, place: int) -> Found:
        found: Found = Entries({})
        for key, each in zip(node.keys, node.values, strict=True):
            value = self.value(each, place)
            name = None if key is None else self._text(key, place)
            if name is not None:
                value = Entries({name: value})
            elif isinstance(key, ast.JoinedStr):
                value = Entries({each: value for each in self.names if _may_be(key, each)})
            found = found.merged(value) if isinstance(found, Entries) else found
        return found

    def _union(self, node: ast.BinOp, place: int) -> Found | None:
        left = self.value(node.left, place) if isinstance(node.op, ast.BitOr) else None
        return left.merged(self.value(node.right, place)) if isinstance(left, Entries) else None

    def _comprehension(self, node: ast.DictComp, place: int) -> Found | None:
        [first, *others] = node.generators
        variables = first.target.elts if isinstance(first.target, ast.Tuple) else [first.target]
        names = [each.id for each in variables if isinstance(each, ast.Name)]
        if others or not isinstance(node.key, ast.Name) or node.key.id not in names[:1] or len(names) > 2:
            return None
        found = {}
        for name, value in self._iterated(first.iter, place).items():
            turn = zip(names, (self._constant(name), value), strict=False)
            scope = replace(self, loop={each: known for each, known in turn if known is not None})
            found[name] = scope.value(node.value, place)
        return Entries(found)

    def _iterated(self, node: ast.expr, place: int) -> Mapping[str, Found | None]:
        """The names through which a loop goes, and the values beside them."""
        is_items = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.args
        value = self.value(node.func.value if is_items else node, place)  # type: ignore[attr-defined]
        if isinstance(value, Entries):
            return value.entries
        if isinstance(value, Items):
            texts = [each.node.value for each in value.items if _is_text(each)]  # type: ignore[union-attr]
            return dict.fromkeys(texts)
        return dict.fromkeys(self.names)

    def _call(self, node: ast.Call, place: int) -> Found | None:
        function = node.func.value if isinstance(node.func, ast.Subscript) else node.func  # dict[str, Array]()
        if isinstance(function, ast.Name) and function.id in MAPPINGS:
            return self._updated(Entries({}), node, place)
        owner = self.value(node.func.value, place) if isinstance(node.func, ast.Attribute) else None
        if isinstance(owner, Entries) and isinstance(node.func, ast.Attribute) and node.func.attr in ("copy", "items"):
            return owner
        if isinstance(owner, Instance) and isinstance(node.func, ast.Attribute):
            called = replace(owner, called=(*owner.called, node.func.attr))
            given = [lambda: called, *self._given(node, place)]
            scope = self._inner(methods_of(owner.owner).get(node.func.attr), given, self._named(node, place))
        else:
            known = self._known(node.func, place)
            if isinstance(known, type):
                has_source = any(self._definition(method) for method in methods_of(known).values())
                return Instance(known) if has_source else None
            scope = self._inner(known, self._given(node, place), self._named(node, place))
        found_in = scope.returned() if scope else None
        return None if isinstance(found_in, Leaf) else found_in

    def _known(self, node: ast.expr, place: int) -> object:
        """The object that a called name means, unless a variable of the function hides it."""
        root = node
        while isinstance(root, ast.Attribute):
            root = root.value
        hidden = isinstance(root, ast.Name) and (root.id in self.bound or self._history(root.id, place))
        return None if hidden else self.definition.known(node)

    def _given(self, node: ast.Call, place: int) -> list[Later]:
        return [self._at(each, place) for each in node.args if not isinstance(each, ast.Starred)]

    def _named(self, node: ast.Call, place: int) -> dict[str, Later]:
        return {word.arg: self._at(word.value, place) for word in node.keywords if word.arg}

    def _at(self, node: ast.expr, place: int) -> Later:
        return lambda: self.value(node, place)

    def _inner(self, function: object, given: Sequence[Later], named: Mapping[str, Later]) -> Scope | None:
        """The call of a function from here, or None if it has no source, or the calls are too many."""
        definition = self._definition(function)
        if definition is None or next(self.budget, None) is None:
            return None
        bound = dict(zip(definition.parameters, given, strict=False))
        return Scope(definition, self.names, {**bound, **named}, {}, self.budget)

    def _definition(self, function: object) -> Definition | None:
        return definition_of(function, beside=self.definition.file)

    def _subscript(self, node: ast.Subscript, place: int) -> Found | None:
        owner, index = self.value(node.value, place), self.value(node.slice, place)
        if isinstance(owner, Entries) and _is_text(index):
            return owner.entries.get(index.node.value)  # type: ignore[union-attr]
        if not isinstance(owner, Items):
            return None
        try:
            number = ast.literal_eval(node.slice)
        except ValueError:
            number = _slice(node.slice)
        if isinstance(number, slice):
            return Items(owner.items[number])
        is_there = isinstance(number, int) and -len(owner.items) <= number < len(owner.items)
        return owner.items[number] if is_there else None

    def _history(self, key: str, before: int, found: Found | None = None) -> Found | None:
        """The value of a variable or an attribute after the statements before a place; `found` is its first value."""
        for use in self.definition.uses.get(key, ()):
            if use.place < before:
                found = self._assigned(use, found) if isinstance(use, Assignment) else self._used(use, found)
        return found

    def _assigned(self, use: Assignment, found: Found | None) -> Found:
        """The value of a variable after an assignment."""
        if not use.keys:
            return self._whole(use, found)
        key = use.keys[0]
        name = self._text(key, use.place)
        if name is not None:
            entries = found if isinstance(found, Entries) else Entries({})
            return entries.merged(Entries({name: self._whole(use)}))
        if not isinstance(found, Entries):
            return Leaf(use.statement, self.definition)  # dW[t] += ... in a loop
        every = dict.fromkeys((*found.entries, *self.names))
        if isinstance(key, ast.JoinedStr):
            value = self._whole(use)
            return found.merged(Entries({each: value for each in every if _may_be(key, each)}))
        if not isinstance(key, ast.Name):
            return Entries({each: Leaf(use.statement, self.definition) for each in every})
        scopes = {each: replace(self, loop={key.id: self._constant(each)}) for each in every}
        return Entries({each: scope._whole(use) for each, scope in scopes.items()})

    def _whole(self, use: Assignment, found: Found | None = None) -> Found:
        """The value that a statement assigns to all of a variable, or of an entry."""
        here, assigned = Leaf(use.statement, self.definition), getattr(use.statement, "value", None)
        if isinstance(use.statement, ast.AugAssign):
            is_union = isinstance(found, Entries) and isinstance(use.statement.op, ast.BitOr)
            return found.merged(self.value(use.statement.value, use.place)) if is_union else here  # type: ignore[union-attr]
        value = self.value(assigned, use.place) if assigned is not None else here
        written = [assigned]
        for index in use.path:
            written = [each for node in written for each in getattr(node, "elts", ())[index : index + 1]]
            if not isinstance(value, Items) or index >= len(value.items):
                return here
            value = value.items[index]
        return here if isinstance(value, Leaf) and value.node in written else value

    def _used(self, use: MethodCall, found: Found | None) -> Found | None:
        """A mapping after `update`, and an object after a method."""
        if isinstance(found, Instance):
            return replace(found, called=(*found.called, use.method))
        return self._updated(found, use.call, use.place) if use.method == "update" else found

    def _updated(self, found: Found | None, call: ast.Call, place: int) -> Found | None:
        """A mapping after `update`, or after `dict` of an empty one."""
        given = [self.value(each, place) for each in call.args]
        for word in call.keywords:
            value = self.value(word.value, place)
            given.append(Entries({word.arg: value}) if word.arg else value)
        for each in given:
            found = found.merged(each) if isinstance(found, Entries) else found
        return found

    def _text(self, node: ast.expr, place: int) -> str | None:
        found = self.value(node, place)
        return str(found.node.value) if _is_text(found) else None  # type: ignore[union-attr]

    def _constant(self, text: str) -> Leaf:
        return Leaf(ast.Constant(text), self.definition)


def _is_text(found: Found) -> bool:
    return isinstance(found, Leaf) and isinstance(found.node, ast.Constant) and isinstance(found.node.value, str)


def _may_be(key: ast.JoinedStr, name: str) -> bool:
    """Whether an f-string may have a name as its value: f"state{t}" may have state0."""
    pieces = (re.escape(str(each.value)) if isinstance(each, ast.Constant) else ".+" for each in key.values)
    return re.fullmatch("".join(pieces), name) is not None


def _slice(node: ast.expr) -> slice | None:
    """A slice between numbers."""
    if not isinstance(node, ast.Slice):
        return None
    ends = (node.lower, node.upper, node.step)
    try:
        return slice(*(None if each is None else ast.literal_eval(each) for each in ends))
    except ValueError:
        return None
