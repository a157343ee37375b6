"""PTX as text, read into basic blocks of instructions, with calls put in line."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from emulator.arithmetic import known

SPECIAL = re.compile(r"%(?:tid|ntid|ctaid|nctaid)\.[xyz]")


@dataclass(frozen=True)
class Register:
    """A register, or a parameter, which is one that an entry or a call sets."""

    name: str


@dataclass(frozen=True)
class Immediate:
    """A literal: of an integer its value, of a float its bits."""

    value: int


@dataclass(frozen=True)
class Symbol:
    """The address of something declared outside of registers, or a register of the machine's own."""

    name: str


@dataclass(frozen=True)
class Address:
    """[base + offset]."""

    base: Register | Symbol
    offset: int


@dataclass(frozen=True)
class Pack:
    """{a, b}."""

    parts: tuple[Register, ...]


Operand = Register | Immediate | Symbol | Address | Pack


@dataclass(frozen=True)
class Instruction:
    """`op.parts operands;` at a line of the text."""

    op: str
    parts: tuple[str, ...]
    operands: tuple[Operand, ...]
    line: int


@dataclass
class Block:
    """Instructions without a jump, and what comes after: `kind` is jump, barrier or exit."""

    instructions: list[Instruction] = field(default_factory=list)
    kind: str = "jump"
    target: str | int | None = None  # None falls through to the next block
    predicate: tuple[str, bool] | None = None  # (register, whether it is negated)
    line: int = 0


@dataclass(frozen=True)
class Array:
    """Something declared in memory: how many bytes, and those that it starts with."""

    size: int
    contents: bytes | None


@dataclass(frozen=True)
class Program:
    """An entry: its parameters in order, its blocks, and the arrays it declares."""

    parameters: list[str]
    blocks: list[Block]
    shared: dict[str, Array]
    globals: dict[str, Array]


@dataclass(frozen=True)
class _Function:
    results: list[str]
    parameters: list[str]
    body: str
    line: int


_DECLARED = re.compile(
    r"\.(shared|global)\s+\.align\s+\d+\s+\.[bfus](\d+)\s+([\w$]+)(?:\[(\d+)\])?(?:\s*=\s*\{([^}]*)\})?;"
)
_HEAD = re.compile(r"\.(entry|func)\s+(?:\(([^)]*)\)\s*)?([\w$]+)\s*\(([^)]*)\)\s*(?:\.\w+\s*)*(\{|;)")
_PARAMETER = re.compile(r"\.param\s+(?:\.align\s+\d+\s+)?\.\w+\s+([\w$]+)")
_CALL = re.compile(r"call(?:\.uni)?\s+(?:\(([^)]*)\)\s*,)?\s*([\w$]+)\s*,\s*\(([^)]*)\)", re.DOTALL)
_STATEMENT = re.compile(r"(?:(@)(!?)(%\w+)\s+)?([a-z]\w*)((?:\.[\w:]+)*)\s*(.*)", re.DOTALL)
_OWN = re.compile(r"%\w+|\$[\w$]+|\b(?:param|retval)\d+\b")


def program(ptx: str) -> Program:
    """The one entry of a module."""
    ptx = re.sub(r"//[^\n]*", "", ptx)
    if re.search(r"^\s*\.(local|loc)\b", ptx, re.MULTILINE):
        raise NotImplementedError("local memory, which a kernel of ours has not, or lines of a source")
    functions, entries = _functions(ptx)
    (entry,) = entries
    blocks = _blocks(functions, entry)
    memory: dict[str, dict[str, Array]] = {"shared": {}, "global": {}}
    for space, bits, name, count, contents in _DECLARED.findall(ptx):
        if contents and bits != "8":
            raise NotImplementedError(f"{name}: contents that are no bytes")
        start = bytes(int(value) for value in contents.split(",")) if contents else None
        memory[space][name] = Array(int(bits) // 8 * int(count or 1), start)
    return Program(functions[entry].parameters, blocks, memory["shared"], memory["global"])


def _functions(ptx: str) -> tuple[dict[str, _Function], list[str]]:
    functions, entries = {}, []
    for head in _HEAD.finditer(ptx):
        kind, results, name, parameters, opening = head.groups()
        if opening == ";":  # declared here, defined later
            continue
        body = ptx[head.end() : _closing(ptx, head.end())]
        line = ptx.count("\n", 0, head.end()) + 1
        functions[name] = _Function(
            _PARAMETER.findall(results or ""), _PARAMETER.findall(parameters), body, line
        )
        if kind == "entry":
            entries.append(name)
    return functions, entries


def _closing(text: str, start: int) -> int:
    """Where the brace closes that was open before `start`."""
    depth = 1
    for brace in re.finditer(r"[{}]", text[start:]):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return start + brace.start()
    raise ValueError("a brace that nothing closes")


def _statements(function: _Function) -> Iterator[tuple[int, str]]:
    """(line, text) of labels, with their colon, and of statements, without what ends them."""
    body, at = function.body, 0
    token = re.compile(r"\s*(?:([{}])|(\$[\w$]+:)|([^;]*);)", re.DOTALL)
    while match := token.match(body, at):
        at = match.end()
        if match[1] is None:
            line = function.line + body.count("\n", 0, match.start(2) if match[2] else match.start(3))
            yield line, (match[2] or match[3]).strip()


def _inlined(functions: dict[str, _Function], name: str, path: str) -> Iterator[tuple[int, str]]:
    """A function's statements, and those of what it calls in place of calls, whose names get a path."""
    for count, (line, statement) in enumerate(_statements(functions[name])):
        call = _CALL.match(statement)
        if not call:
            yield line, _renamed(statement, path)
            continue
        results, callee, arguments = (part.strip() if part else "" for part in call.groups())
        inner, function = f"{path}_{count}", functions[callee]
        formal = [*function.results, *function.parameters]
        actual = [_renamed(word, path) for word in re.findall(r"\w+", f"{results} {arguments}")]
        names = dict(zip(formal, actual, strict=True)) | {"ret": f"bra $after{inner}"}
        for inner_line, text in _inlined(functions, callee, inner):
            words = re.split(r"([\w$]+)", text)
            yield inner_line, "".join(names.get(word, word) for word in words)
        yield line, f"$after{inner}:"


def _renamed(statement: str, path: str) -> str:
    if not path:
        return statement
    return _OWN.sub(lambda m: m[0] if SPECIAL.match(statement, m.start()) else m[0] + path, statement)


def _blocks(functions: dict[str, _Function], entry: str) -> list[Block]:
    blocks, labels = [Block()], {}
    for line, statement in _inlined(functions, entry, ""):
        if statement.endswith(":"):
            blocks.append(Block())
            labels[statement[:-1]] = len(blocks) - 1
        elif statement and not statement.startswith("."):
            _append(blocks, line, statement)
    for block in blocks:
        if isinstance(block.target, str):
            block.target = labels[block.target]
    return blocks


def _append(blocks: list[Block], line: int, statement: str) -> None:
    """Put a statement at the end; one that jumps ends the block."""
    match = _STATEMENT.fullmatch(statement)
    if match is None:
        raise NotImplementedError(f"line {line}: {statement}: no statement that is known")
    guarded, negated, register, op, parts, rest = match.groups()
    if op == "bar" and (parts, rest.strip()) != (".sync", "0"):
        raise NotImplementedError(f"line {line}: {statement}: no barrier of the whole block")
    kind = {"bra": "jump", "bar": "barrier", "ret": "exit", "exit": "exit"}.get(op)
    if guarded and kind != "jump":
        raise NotImplementedError(f"line {line}: {statement}: a predicate on what is no jump")
    if kind is None:
        modifiers = tuple(parts.split(".")[1:])
        if not known(op, modifiers):
            raise NotImplementedError(f"line {line}: {statement}: an instruction that is not known")
        operands = tuple(_operand(word) for word in _split(rest))
        blocks[-1].instructions.append(Instruction(op, modifiers, operands, line))
        return
    block = blocks[-1]
    block.kind, block.line = kind, line
    block.target = rest.strip() if kind == "jump" else None
    block.predicate = (register, bool(negated)) if guarded else None
    blocks.append(Block())


def _split(operands: str) -> list[str]:
    """At the commas outside of braces and brackets."""
    return [word.strip() for word in re.findall(r"\{[^}]*\}|\[[^\]]*\]|[^,\s]+", operands)]


def _operand(word: str) -> Operand:
    if word.startswith("{"):
        return Pack(tuple(Register(part.strip()) for part in word[1:-1].split(",")))
    if word.startswith("["):
        base, _, offset = word[1:-1].partition("+")
        return Address(_operand(base), int(offset or 0))
    if SPECIAL.fullmatch(word):
        return Symbol(word)
    if word.startswith("%"):
        return Register(word)
    if re.match(r"0[fF][0-9a-fA-F]{8}$|0[dD][0-9a-fA-F]{16}$", word):
        return Immediate(int(word[2:], 16))
    if re.match(r"-?(0x[0-9a-fA-F]+|\d+)U?$", word):
        return Immediate(int(word.rstrip("U"), 0))
    return Symbol(word)
