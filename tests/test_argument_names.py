"""Messages by the names of arguments; the arguments of the Python interface are the settings of a run."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest
import typer

import persqa_client
from persqa_client import Endpoint, PersQAClient, Recipe, generate, stream
from persqa_client.api.argument_errors import ARGUMENTS, CHOICES, FIELDS, SWITCHES
from persqa_client.argument_names import list_choices, name_arguments
from persqa_client.cli.main import app
from persqa_client.cli.run import MODES
from persqa_client.config import Limits, Sampling
from persqa_client.run.settings import ENDPOINT_FLAGS
from tests.goldens.surfaces import iterate_commands

PARAMETERS = inspect.signature(generate).parameters
# The flags of a server that a run starts; ``VLLMServer`` has them as arguments.
SERVER_FLAGS = {"serve", "serve_args", "serve_timeout", "device", "vllm_command"}

# What a caller in Python has in place of a terminal.
PROGRESS = {"on_progress", "progress"}


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ("--top-p: must be less than or equal to 1.", "top_p: must be less than or equal to 1."),
        ("choose another -o, or start again with --fresh.", "choose another output, or start again with fresh=True."),
        ("--details: must be true or false.", "details: must be true or false."),
        ("Leave out --no-probes.", "Leave out probes=False."),
        ("vllm serve --model-impl takes a name", "vllm serve --model-impl takes a name"),
        ("a-o x--seed", "a-o x--seed"),
        ("--max-tokens 2.5 is less", "max_tokens=2.5 is less"),
        ("use -n 3, or --fresh 3", "use limit=3, or fresh=True 3"),
        ("--strategy direct or --strategy best", 'strategy="direct" or strategy best'),
        ("--top-p 1,000 rows --details", "top_p=1,000 rows details=True"),
    ],
)
def test_flags_become_arguments_and_words_of_others_stay(message: str, named: str) -> None:
    assert name_arguments(message, ARGUMENTS, SWITCHES, CHOICES) == named


def test_generate_has_the_settings_of_a_run_with_their_defaults() -> None:
    own = PARAMETERS.keys() - {"rows", "output"} - PROGRESS
    assert own - ENDPOINT_FLAGS == FIELDS.keys()
    assert own >= ENDPOINT_FLAGS
    for name, field in FIELDS.items():
        default = PARAMETERS[name].default
        expected = field.get_default(call_default_factory=True)
        assert default == expected or (default, expected) in [(None, {}), (False, "off")], name
    assert all(each.kind is each.KEYWORD_ONLY for name, each in PARAMETERS.items() if name in own)


def test_generate_has_the_flags_of_the_command() -> None:
    flags = {each.name for each in dict(iterate_commands("", typer.main.get_command(app)))["run"].params}
    assert flags - MODES - SERVER_FLAGS - {"input"} == PARAMETERS.keys() - {"rows", "endpoint"} - PROGRESS


def test_choices_are_those_of_the_settings() -> None:
    hints = inspect.get_annotations(inspect.unwrap(generate), eval_str=True)
    for name, field in FIELDS.items():
        if "Literal" in str(field.annotation) and name not in SWITCHES:
            assert list_choices(hints[name]) == list_choices(field.annotation) != frozenset(), name


def test_each_argument_is_documented() -> None:
    assert generate.__doc__ is not None
    words = set(re.findall(r"\w+", generate.__doc__))
    assert not PARAMETERS.keys() - words
    assert PersQAClient.__doc__ is not None
    assert not inspect.signature(PersQAClient).parameters.keys() - set(re.findall(r"\w+", PersQAClient.__doc__))


def test_a_stream_takes_what_a_client_takes() -> None:
    ours = dict(inspect.signature(stream).parameters)
    per_stream = inspect.signature(PersQAClient.stream).parameters
    assert ours.keys() >= per_stream.keys() - {"self"}
    theirs = inspect.signature(PersQAClient).parameters | {name: per_stream[name] for name in ("rows", *PROGRESS)}
    assert {name: (each.default, each.annotation) for name, each in ours.items()} == {
        name: (each.default, each.annotation) for name, each in theirs.items()
    }


def test_no_public_signature_is_open() -> None:
    for name in persqa_client.__all__:
        found = getattr(persqa_client, name)
        if not (inspect.isclass(found) and issubclass(found, Exception)):
            kinds = {each.kind for each in inspect.signature(found).parameters.values()}
            assert inspect.Parameter.VAR_KEYWORD not in kinds, name


def test_the_typed_arguments_of_an_endpoint_are_its_fields() -> None:
    """They are read from the source, as they are for type checkers alone."""
    tree = ast.parse(Path(inspect.getfile(Endpoint)).read_text())
    owner = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Endpoint")
    made = next(node for node in ast.walk(owner) if isinstance(node, ast.FunctionDef) and node.name == "__init__")
    assert [each.arg for each in made.args.kwonlyargs] == list(Endpoint.model_fields)


def test_an_unknown_argument_is_a_type_error() -> None:
    endpoint = Endpoint(base_url="http://a/v1", model="m")
    meant = r"^Sampling\(\) got an unexpected keyword argument 'temprature'. Did you mean 'temperature'\?$"
    with pytest.raises(TypeError, match=meant):
        Sampling(temprature=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"^Limits\(\) got an unexpected keyword argument 'zzz'$"):
        Limits(zzz=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"^generate\(\) got an unexpected keyword argument 'temprature'"):
        generate("a.jsonl", temprature=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"^PersQAClient\(\) got an unexpected keyword argument 'limit'"):
        PersQAClient(endpoint, limit=1)  # type: ignore[call-arg]


def test_one_text_stands_for_a_list_with_it() -> None:
    assert Recipe(without="face", steer="prompt") == Recipe(without=["face"], steer=("prompt",))
