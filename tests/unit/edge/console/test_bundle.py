"""The console's scripts as one: each runs once, after what it imports, and nothing is joined that would differ."""

from __future__ import annotations

import pytest

from relay.edge.console.bundle import bundle

MODULES = {
    "main.js": 'import { DEEP as HERE } from "./deep.js";\nimport * as all from "./say.js";\nall.say(HERE);\n',
    "say.js": "const own = 1;\nexport class Kind {}\nexport async function say(text) {}\n",
    "deep.js": 'import {\n  Kind,\n} from "./say.js";\nconst own = "deep";\nexport const DEEP = own;\n',
}
JOINED = """export const modules = {};

// say.js
modules["say.js"] = (() => {
const own = 1;
class Kind {}
async function say(text) {}
return { Kind, say };
})();

// deep.js
modules["deep.js"] = (() => {
const {
  Kind,
} = modules["say.js"];
const own = "deep";
const DEEP = own;
return { DEEP };
})();

// main.js
modules["main.js"] = (() => {
const { DEEP: HERE } = modules["deep.js"];
const all = modules["say.js"];
all.say(HERE);
return {  };
})();
"""


def test_each_module_runs_once_after_those_that_it_imports() -> None:
    """The console would not start, or be another one than its files say. The browser tests run it."""
    assert bundle(MODULES) == bundle(dict(reversed(MODULES.items()))) == JOINED


@pytest.mark.parametrize(
    "text",
    [
        'import "./b.js";\n',
        'import whole from "./b.js";\n',
        'import { b } from "elsewhere";\n',
        'const b = import("./b.js");\n',
        "export let b = 1;\n",
        "export default 1;\n",
        "const b = 1;\nexport { b };\n",
        'export * from "./b.js";\n',
    ],
)
def test_what_cannot_be_joined_is_named(text: str) -> None:
    """relay would serve a console that does not start, or not as its files say."""
    with pytest.raises(ValueError, match=r"a\.js: cannot be joined: .*(import|export)"):
        bundle({"a.js": text, "b.js": "export const b = 1;\n"})


def test_modules_that_need_each_other_are_refused() -> None:
    """One of them would run before what it needs is there."""
    with pytest.raises(ValueError, match="cycle"):
        bundle({"a.js": 'import { b } from "./b.js";\n', "b.js": 'import { a } from "./a.js";\n'})


def test_a_module_that_is_not_there_is_missed() -> None:
    """The console would end with an error in the browser."""
    with pytest.raises(KeyError, match=r"none\.js"):
        bundle({"a.js": 'import { b } from "./none.js";\n'})
