import pytest

from jobs.core.errors import ConfigError
from jobs.stores import java

pytestmark = pytest.mark.process


def fake(folder, version, code=0):
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(
        f"#!/bin/sh\necho 'openjdk version \"{version}\" 2024-01-01' >&2\nexit {code}\n"
    )
    program.chmod(0o755)
    return folder


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """No Java but those that a test makes."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setattr(java, "_FOLDERS", (f"{tmp_path}/jvm/*",))
    return tmp_path


def test_java_home_comes_first_then_the_path_then_the_usual_folders(bare, monkeypatch):
    fake(bare / "jvm" / "openjdk-21", "21.0.2")
    assert java.home() == bare / "jvm" / "openjdk-21"
    on_path = fake(bare / "path", "17.0.15")
    monkeypatch.setenv("PATH", f"{on_path}/bin:/bin")
    assert java.home() == on_path
    monkeypatch.setenv("JAVA_HOME", str(fake(bare / "configured", "25")))
    assert java.home() == bare / "configured"


@pytest.mark.parametrize("version", ["1.8.0_392", "11.0.20", "16"])
def test_an_old_java_is_passed_over(bare, monkeypatch, version):
    monkeypatch.setenv("JAVA_HOME", str(fake(bare / "old", version)))
    new = fake(bare / "jvm" / "new", "17")
    assert java.home() == new


def test_a_java_that_is_gone_or_does_not_start_is_passed_over(bare, monkeypatch):
    new = fake(bare / "jvm" / "new", "17")
    fake(bare / "broken", "21", code=1)
    for home in (bare / "gone", bare / "broken", bare / "jvm" / "new" / "bin" / "java"):
        monkeypatch.setenv("JAVA_HOME", str(home))
        assert java.home() == new


def test_options_for_another_java_stop_none(monkeypatch):
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-XX:NoSuchFlag")
    assert (java.home() / "bin" / "java").exists()


def test_the_error_names_each_java_that_will_not_do(bare, monkeypatch):
    monkeypatch.setenv("JAVA_HOME", str(fake(bare / "old", "1.8.0_392")))
    fake(bare / "jvm" / "older", "11.0.2")
    with pytest.raises(ConfigError) as error:
        java.home()
    assert error.value.input == f"{bare}/old is Java 8; {bare}/jvm/older is Java 11"


def test_without_java_one_line_says_what_to_install(bare):
    with pytest.raises(ConfigError) as error:
        java.home()
    assert "Java 17" in str(error.value)
    assert "apt-get install openjdk-17-jre-headless" in error.value.remedy
    assert "brew install" in error.value.remedy and "dnf install" in error.value.remedy


def test_the_remedy_names_the_package_manager_of_the_machine(bare, monkeypatch):
    tool = bare / "tools" / "dnf"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent))
    with pytest.raises(ConfigError) as error:
        java.home()
    assert error.value.remedy == "`dnf install java-17-openjdk-headless`"


def test_this_machine_has_a_java_that_starts():
    assert (java.home() / "bin" / "java").exists()
