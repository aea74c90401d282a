"""The committed CRD of records is the generated one, in the chart too, and the command prints both kinds."""

import yaml
from click.testing import CliRunner

from projection_operator.cli import main
from projection_operator.core.record import RecordSpec, RecordStatus
from projection_operator.crd import structural
from projection_operator.crd_records import record_crd, record_crd_yaml
from tests.unit.operator_core.test_crd import ROOT, schemas

NAME = "projectionrebuilds.projections.dev.yaml"


def test_committed_and_shipped_as_generated() -> None:
    for path in (ROOT / "crds" / NAME, ROOT / "helm" / "projection-operator" / "files" / NAME):
        assert path.read_text() == record_crd_yaml(), f"write {path} anew: make crds"


def test_the_schema_is_that_of_the_models() -> None:
    (version,) = record_crd()["spec"]["versions"]
    root = version["schema"]["openAPIV3Schema"]
    assert root["properties"]["status"] == structural(RecordStatus)
    fixed = root["properties"]["spec"].pop("x-kubernetes-validations")
    assert root["properties"]["spec"] == structural(RecordSpec)
    assert [one["rule"] for one in fixed] == ["self == oldSelf"]
    for path, schema in schemas(root):
        if schema["type"] == "string" and path.startswith((".spec", ".status")):
            assert "maxLength" in schema or schema.get("format") == "date-time", path


def test_the_command_prints_both_or_one() -> None:
    both = CliRunner().invoke(main, ["crd"]).output
    kinds = [one["spec"]["names"]["kind"] for one in yaml.safe_load_all(both)]
    assert kinds == ["Projection", "ProjectionRebuild"]
    assert CliRunner().invoke(main, ["crd", "projectionrebuilds"]).output == record_crd_yaml()
