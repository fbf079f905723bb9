"""Functions from Python's syntax tree: statements, what is surely assigned, and the order of calls."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from kernels_wasm.translate import ir
from kernels_wasm.translate.expressions import (
    NARROW,
    NUMBERS,
    OPERATORS,
    RefusedError,
    Scope,
    SourceError,
    refused,
)

DIRECTIONS = {"In": "in", "Out": "out", "InOut": "inout", "Scratch": "scratch"}
ENDS = (ir.Return, ir.Break, ir.Continue)


def params_of(node: ast.FunctionDef) -> tuple[ir.Param, ...]:
    """The typed parameters; RefusedError if one has no type."""
    arguments = node.args
    others = [arguments.vararg, arguments.kwarg, *arguments.kwonlyargs, *arguments.posonlyargs]
    if arguments.defaults or any(others):
        raise RefusedError(node, "only plain parameters are supported", "no defaults, no * and no **")
    return tuple(_param(argument) for argument in arguments.args)


def _param(node: ast.arg) -> ir.Param:
    match node.annotation:
        case ast.Name(id=kind) if kind in NUMBERS:
            return ir.Param(node.arg, kind)
        case ast.Subscript(value=ast.Name(id=way), slice=ast.Name(id=element)) if (
            way in DIRECTIONS and element in ir.BYTES
        ):
            return ir.Param(node.arg, f"{element}[]", DIRECTIONS[way])
    what = f"parameter {node.arg} has no known type"
    raise RefusedError(node, what, "write n: i32, or x: In[f32] (In, Out, InOut, Scratch of i8 to f64)")


class Body:
    """Reads one function's statements; problems are collected, one a statement."""

    def __init__(self, node: ast.FunctionDef, scope: Scope, returns: str, problems: list[str]) -> None:
        self.node, self.scope, self.returns, self.problems = node, scope, returns, problems
        self.hidden = 0

    def function(self, params: tuple[ir.Param, ...]) -> ir.Function:
        statements = self.node.body
        if isinstance(statements[0], ast.Expr) and isinstance(statements[0].value, ast.Constant):
            statements = statements[1:]  # the docstring
        body = self.block(statements)
        if self.returns != "void" and not _returns(body):
            self.problems.append(
                str(
                    RefusedError(self.node, f"{self.node.name} may end without a result", "return at its end")
                )
            )
        return ir.Function(self.node.name, params, self.returns, body)

    def block(self, nodes: Sequence[ast.stmt]) -> tuple[ir.Stmt, ...]:
        found: list[ir.Stmt] = []
        for node in nodes:
            try:
                if found and isinstance(found[-1], ENDS):
                    raise RefusedError(node, "this is never reached", "delete it")
                found += self.statement(node)
            except RefusedError as error:
                self.problems.append(str(error))
        return tuple(found)

    def statement(self, node: ast.stmt) -> list[ir.Stmt]:
        scope = self.scope
        match node:
            case ast.Assign(targets=[target]):
                return [self.assign(target, node.value, "")]
            case ast.AnnAssign(target=ast.Name(), annotation=ast.Name(id=kind), value=ast.expr() as value):
                if kind not in NUMBERS:
                    raise RefusedError(node, f"variables cannot be {kind}", "use i32, u32, f32 or f64")
                return [self.assign(node.target, value, kind)]
            case ast.AugAssign():
                return [self.augmented(node)]
            case ast.For():
                return self.loop(node)
            case ast.While(orelse=[]):
                before = set(scope.certain)
                condition = scope.condition(node.test)
                body = self.block(node.body)
                scope.certain = before
                return [ir.While(condition, body)]
            case ast.If():
                condition = scope.condition(node.test)
                before = set(scope.certain)
                then = self.block(node.body)
                after_then = scope.certain
                scope.certain = set(before)
                other = self.block(node.orelse)
                if _ends(then):
                    after_then = scope.certain
                elif not _ends(other):
                    after_then = after_then & scope.certain
                scope.certain = after_then
                return [ir.If(condition, then, other)]
            case ast.Return():
                return [self.result(node)]
            case ast.Break():
                return [ir.Break()]
            case ast.Continue():
                return [ir.Continue()]
            case ast.Pass():
                return []
            case ast.Expr(value=ast.Call() as call):
                found = scope.call(call)
                if not isinstance(found, ir.Call):
                    raise RefusedError(node, "the result is not used", "assign it, or delete the line")
                return [ir.Perform(found)]
        raise refused(node)

    def assign(self, target: ast.expr, value: ast.expr, kind: str) -> ir.Stmt:
        scope = self.scope
        if isinstance(target, ast.Subscript):
            return self.store(target, value)
        if not isinstance(target, ast.Name):
            raise RefusedError(target, "only one name or element can be assigned", "use a line for each")
        name = target.id
        if name in scope.counters | scope.counted:
            raise RefusedError(target, f"{name} counts a loop and cannot be assigned", "use another variable")
        if name in scope.params and scope.params[name].dir:
            raise RefusedError(target, f"{name} is an array", "assign its elements, or use another name")
        known = scope.types.get(name, "")
        if kind and known and kind != known:
            raise RefusedError(target, f"{name} is {known} already", "use another name")
        found = self.scope.number(value, known or kind)
        scope.types[name] = found.type
        scope.certain.add(name)
        return ir.Assign(name, found.type, found)

    def store(self, target: ast.Subscript, value: ast.expr) -> ir.Stmt:
        param = self.scope.array(target.value)
        if param.dir == "in":
            raise RefusedError(target, f"{param.name} is only read", "declare it Out or InOut")
        index = self.scope.index(target.slice)
        if param.element in NARROW:
            found = self.scope.number(value)
            if found.type not in ir.INTEGERS:
                raise RefusedError(value, f"{found.type} is stored as {param.element}", "convert with i32(x)")
        elif param.element in ir.INTEGERS and self.scope.literal(value) is None:
            found = self.scope.number(value)  # either integer: the bits are the same
            if found.type not in ir.INTEGERS:
                raise RefusedError(value, f"{found.type} is stored as {param.element}", "convert with i32(x)")
        else:
            found = self.scope.number(value, param.element)
        return ir.Store(param.name, param.element, index, found)

    def augmented(self, node: ast.AugAssign) -> ir.Stmt:
        if type(node.op) not in OPERATORS:
            raise refused(node.op, node)
        both = ast.copy_location(ast.BinOp(node.target, node.op, node.value), node)
        return self.assign(node.target, both, "")

    def loop(self, node: ast.For) -> list[ir.Stmt]:
        scope = self.scope
        call = node.iter
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "range"):
            raise RefusedError(node.iter, "a loop runs over range()", "write for i in range(n)")
        if (
            node.orelse
            or call.keywords
            or not isinstance(node.target, ast.Name)
            or not 1 <= len(call.args) <= 3
        ):
            raise RefusedError(node, "this loop is not supported", "write for i in range(start, stop, step)")
        name = node.target.id
        if name in scope.counters or name in scope.types or name in scope.params:
            raise RefusedError(node.target, f"{name} has a meaning already", "count with another variable")
        step = scope.literal(call.args[2]) if len(call.args) == 3 else 1
        if type(step) is not int or not step or abs(step) > 1 << 20:
            raise RefusedError(call, "the step must be a whole number such as 4 or -1", "or use while")
        start = scope.number(call.args[0], "i32") if len(call.args) > 1 else ir.integer(0)
        stop = scope.number(call.args[min(1, len(call.args) - 1)], "i32")
        before = set(scope.certain)
        scope.counters.add(name)
        scope.types[name] = "i32"
        scope.certain.add(name)
        body = self.block(node.body)
        scope.counters.discard(name)
        scope.counted.add(name)
        del scope.types[name]
        scope.certain = before
        first: list[ir.Stmt] = []
        # `range` looks at its end once.
        if ir.mentioned(stop) & ir.assigned(*body) or any(
            isinstance(part, ir.Load | ir.Call) for part in ir.walk(stop)
        ):
            self.hidden += 1
            end = f"{name}_end{self.hidden}"
            first = [ir.Assign(end, "i32", stop)]
            stop = ir.Var("i32", end)
        return [*first, ir.For(name, start, stop, step, body)]

    def result(self, node: ast.Return) -> ir.Stmt:
        if self.returns == "void":
            if node.value is not None:
                raise RefusedError(node, "a result without a type", "write -> f32 after the parameters")
            return ir.Return(None)
        if node.value is None:
            raise RefusedError(node, f"the result is missing: {self.returns}", "return a value")
        return ir.Return(self.scope.number(node.value, self.returns))


def _ends(body: Sequence[ir.Stmt]) -> bool:
    """Whether what follows the body is not reached from it."""
    if not body:
        return False
    last = body[-1]
    return isinstance(last, ENDS) or (isinstance(last, ir.If) and _ends(last.then) and _ends(last.other))


def _returns(body: Sequence[ir.Stmt]) -> bool:
    if not body:
        return False
    last = body[-1]
    return isinstance(last, ir.Return) or (
        isinstance(last, ir.If) and _returns(last.then) and _returns(last.other)
    )


def functions(
    nodes: Sequence[ast.FunctionDef], constants: dict[str, int | float]
) -> tuple[dict[str, ir.Function], dict[tuple[int, int, int, int], str]]:
    """Every function in the file's order (callees first), and the types of conditional expressions.

    SourceError lists everything that is wrong."""
    problems: list[str] = []
    found: dict[str, ir.Function] = {}
    arms: dict[tuple[int, int, int, int], str] = {}
    for node in nodes:
        try:
            params = params_of(node)
            scope = Scope({p.name: p for p in params}, constants, found, arms=arms)
            for param in params:
                if not param.dir:
                    scope.types[param.name] = param.type
                    scope.certain.add(param.name)
            body = Body(node, scope, _return_type(node), problems)
            found[node.name] = body.function(params)
        except RefusedError as error:
            problems.append(str(error))
    if problems:
        raise SourceError(problems)
    for function in found.values():
        _refuse_hidden_writes(function, found)
    return found, arms


def _return_type(node: ast.FunctionDef) -> str:
    match node.returns:
        case ast.Constant(value=None) | None:
            return "void"
        case ast.Name(id=kind) if kind in NUMBERS:
            return kind
    raise RefusedError(node, "the result has no known type", "write -> i32, u32, f32, f64 or None")


def _refuse_hidden_writes(function: ir.Function, found: dict[str, ir.Function]) -> None:
    """A call inside an expression must not write, or the order of evaluation would matter."""
    performed = {id(n.call) for n in ir.walk(*function.body) if isinstance(n, ir.Perform)}
    for node in ir.walk(*function.body):
        if isinstance(node, ir.Call) and id(node) not in performed:
            writes = [p.name for p in found[node.name].params if p.dir not in ("", "in")]
            if writes or node.type == "void":
                raise SourceError(
                    [f"{function.name}: {node.name} writes {', '.join(writes) or 'nothing back'}; "
                     "call it on a line of its own"]
                )  # fmt: skip
