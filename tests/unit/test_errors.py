from __future__ import annotations

from jettison import errors
from jettison.errors import DockerfileError, JettisonError, Problem, RegistryError, StepFailed
from jettison.location import Location


def test_the_text_of_an_error_begins_with_its_place() -> None:
    assert str(JettisonError("broken", location=Location("Dockerfile", 3, 5))) == "Dockerfile:3: broken"
    assert str(JettisonError("broken")) == "broken"


def test_a_dockerfile_error_speaks_for_its_first_problem() -> None:
    place = Location("Dockerfile", 1, 1)
    error = DockerfileError((Problem("one", place, "do this"), Problem("two")))
    assert (error.message, error.location, error.hint) == ("one", place, "do this")


def test_fields_of_their_own() -> None:
    assert RegistryError("x", status=404).status == 404
    failed = StepFailed("x", step="[a 1/1] RUN b", exit_code=3, tail=("t",))
    assert (failed.step, failed.exit_code, failed.tail) == ("[a 1/1] RUN b", 3, ("t",))


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    names = {
        kind.__name__
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, JettisonError)
    }
    drawn = {word for line in (errors.__doc__ or "").splitlines() for word in line.split()[:3]}
    assert names <= drawn
