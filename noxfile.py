# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every check of this collection, as a nox session.

``tools/setup test`` makes the environment ``.venv`` that the sessions use, nox itself included. ``tools/test`` runs all
default sessions in two lanes; ``.venv/bin/nox -s units`` runs one alone, and what follows ``--`` goes to its tool.
Sessions of the matrix make an environment for each ansible-core and Python, and skip what is not installed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import antsibull_nox
import nox

ROOT = Path(__file__).resolve().parent
CACHE = ROOT / ".cache"
PROGRAMS = ROOT / ".venv" / "bin"
TREE = CACHE / "tree"
USER_HOME = Path.home()
SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
PATIENCE = 120.0  # seconds for a tool to remove what it made, after a signal

# The Pythons that each ansible-core takes, by its own documentation, less those that are too old for us: 3.10 on the
# controller (the tests need 3.11; sanity compiles and imports with 3.10), 3.7 on a VM host.
CONTROLLERS = {
    "2.17": ("3.11", "3.12"),
    "2.18": ("3.11", "3.12", "3.13"),
    "2.19": ("3.11", "3.12", "3.13"),
    "2.20": ("3.12", "3.13", "3.14"),
    "2.21": ("3.12", "3.13", "3.14"),
    "2.22": ("3.13", "3.14"),
}
VM_HOSTS = {
    "2.17": ("3.8", "3.9", "3.10", "3.11", "3.12"),
    "2.18": ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13"),
    "2.19": ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13"),
    "2.20": ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14"),
    "2.21": ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14"),
    "2.22": ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14"),
}
# Of these there is a release candidate only, which pip installs where it is named.
CANDIDATES = {"2.22": "2.22.0rc1"}


nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "none"
nox.options.envdir = str(CACHE / "nox")
antsibull_nox.load_antsibull_nox_toml()


# The environment of every session


def search_path(programs: Path) -> str:
    """Return a PATH with the interpreters themselves: an inactive shim of pyenv makes ansible-test give up."""
    return os.pathsep.join(map(str, (programs, *interpreters(), *SYSTEM_PATH)))


def interpreters() -> list[Path]:
    """Return where pyenv and uv keep the programs of their Pythons, the newest first."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or USER_HOME / ".pyenv") / "versions"
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or USER_HOME / ".local" / "share" / "uv" / "python")
    found = [*pyenv.glob("3.*/bin"), *uv.glob("cpython-3.*/bin")]
    return sorted(found, key=lambda path: version_key(path.parent.name), reverse=True)


def version_key(name: str) -> tuple[int, ...]:
    """Return the version in a name as numbers, so that 3.9 sorts before 3.10."""
    return tuple(map(int, re.findall(r"\d+", name)[:3]))


def private_home() -> Path:
    """Make a home that keeps tools' caches out of the user's, and the user's settings out of the tests.

    Only pip's configuration is let in, because it may name the only index there is.
    """
    home = CACHE / "home"
    (home / ".config").mkdir(parents=True, exist_ok=True)
    for name in (".config/pip", ".pip"):
        if (USER_HOME / name).exists() and not (home / name).is_symlink():
            with contextlib.suppress(FileExistsError):  # another session made it
                (home / name).symlink_to(USER_HOME / name)
    return home


def prepare_environment() -> None:
    """Set what all sessions share, and let a SIGTERM unwind like Ctrl-C, so that each session removes what it made."""
    os.environ.update(
        PATH=search_path(PROGRAMS),
        HOME=str(private_home()),
        ANSIBLE_COLLECTIONS_PATH=str(TREE),
        PYTHONDONTWRITEBYTECODE="1",
        LC_ALL="C.UTF-8",
        NO_COLOR="1",
        ANSIBLE_NOCOLOR="1",
    )
    for name in ("PYTHONPATH", "VIRTUAL_ENV"):
        os.environ.pop(name, None)
    signal.signal(signal.SIGTERM, signal.default_int_handler)


prepare_environment()


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Yield a directory that is removed afterwards; its path is short, because a socket's path has 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="uml.test.", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(session: nox.Session, *words: str | Path, **variables: str | Path) -> None:
    """Run a program that may take its time to end after a signal."""
    session.run(
        *map(str, words),
        env={name: str(value) for name, value in variables.items()},
        interrupt_timeout=PATIENCE,
        terminate_timeout=PATIENCE,
    )


def leave_out(session: nox.Session, what: str) -> None:
    """Log what a session does not check; `tools/test` repeats it at the end."""
    session.log(f"left out: {what}")


def files() -> list[str]:
    """List what is committed or will be."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    return list(filter(None, listed.stdout.decode().split("\0")))


def copy_checkout(target: Path) -> None:
    """Copy what is committed or will be, without caches."""
    for name in files():
        if os.path.lexists(ROOT / name):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name, follow_symlinks=False)


# Lint


@nox.session(tags=["lint"])
def ruff(session: nox.Session) -> None:
    """Check the style and the format of all Python."""
    run(session, "ruff", "check", ".")
    run(session, "ruff", "format", "--check", ".")


@nox.session(tags=["lint"])
def mypy(session: nox.Session) -> None:
    """Check the types of what travels to VM hosts, of the controller's side, and of the tools."""
    run(session, "mypy")
    run(session, "mypy", "noxfile.py", *sorted(ROOT.glob("tools/**/*.py")))


@nox.session(tags=["lint"])
def shellcheck(session: nox.Session) -> None:
    """Check every shell script."""
    run(session, "shellcheck", *shell_scripts())


def shell_scripts() -> list[str]:
    """List the files whose first line names a shell."""
    names = [name for name in files() if (ROOT / name).is_file()]
    return [name for name in names if is_shell((ROOT / name).read_bytes()[:64].split(b"\n")[0])]


def is_shell(line: bytes) -> bool:
    """Return whether a first line names sh or bash."""
    return line.startswith(b"#!") and line.split()[-1].rpartition(b"/")[2] in (b"sh", b"bash")


@nox.session(tags=["lint"])
def ansible_lint(session: nox.Session) -> None:
    """Check roles, playbooks and rulebooks, with yamllint, in the strictest profile."""
    run(session, "ansible-lint", "--offline", "--profile", "production", "--strict")


@nox.session(tags=["lint"])
def changelog(session: nox.Session) -> None:
    """Check that the fragments are well-formed and that CHANGELOG.rst is what the data say."""
    run(session, "antsibull-changelog", "lint")
    run(session, "antsibull-changelog", "lint-changelog-yaml", "changelogs/changelog.yaml")
    with scratch() as folder:
        copy_checkout(folder)
        with session.chdir(folder):
            run(session, "antsibull-changelog", "generate")
        run(session, "diff", "CHANGELOG.rst", folder / "CHANGELOG.rst")


@nox.session(tags=["lint"])
def licences(session: nox.Session) -> None:
    """Check that every file says whose it is and under which licence (https://reuse.software)."""
    run(session, "reuse", "lint", "--quiet")


@nox.session(tags=["lint"])
def workflows(session: nox.Session) -> None:
    """Check the files of GitHub and of pre-commit against their schemas, which check-jsonschema ships."""
    for schema, pattern in {
        "vendor.github-workflows": ".github/workflows/*.yml",
        "vendor.github-issue-forms": ".github/ISSUE_TEMPLATE/*_*.yml",
        "vendor.github-issue-config": ".github/ISSUE_TEMPLATE/config.yml",
        "vendor.dependabot": ".github/dependabot.yml",
    }.items():
        files = [path.relative_to(ROOT) for path in sorted(ROOT.glob(pattern))]
        run(session, "check-jsonschema", "--builtin-schema", schema, *files)


# Documentation


@nox.session(tags=["docs"])
def docs_check(session: nox.Session) -> None:
    """Check the documentation of plugins and roles, and every reference in it."""
    run(
        session,
        *("antsibull-docs", "lint-collection-docs", "--plugin-docs", "--validate-collection-refs", "dependent"),
        *("--disallow-unknown-collection-refs", "--check-extra-docs-refs", "."),
    )


@nox.session(tags=["docs"])
def site(session: nox.Session) -> None:
    """Build the documentation site offline in .cache/site, without a warning of Sphinx or a dead link."""
    generate = ("collection", "--cleanup", "everything", "--use-current", "--squash-hierarchy")
    with scratch() as folder:
        variables = {"HOME": folder / "home"}  # antsibull-docs writes logs there
        variables["HOME"].mkdir()
        (folder / "rst").mkdir(mode=0o700)
        prepare = ("sphinx-init", "--use-current", "--squash-hierarchy", "--lenient", "--dest-dir", folder)
        run(session, "antsibull-docs", *prepare, "uml.mconsole", **variables)
        config = ("--config-file", folder / "antsibull-docs.cfg")
        run(session, "antsibull-docs", *config, *generate, "--dest-dir", folder / "rst", "uml.mconsole", **variables)
        run(session, "python", "tools/site/configure.py", folder)
        options = ("-c", folder, "-n", "-W", "--keep-going", "-q", "-j", "2")
        run(session, "sphinx-build", "-M", "html", folder / "rst", folder / "build", *options, **variables)
        run(session, "python", "tools/site/check_links.py", folder / "build" / "html")
        replace(folder / "build" / "html", CACHE / "site" / "html")
    session.log("the site is .cache/site/html/index.html")


def replace(source: Path, target: Path) -> None:
    """Move a directory into the place of another."""
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(source, target)


# Tests


@nox.session(tags=["tests", "kernels"])
def units(session: nox.Session) -> None:
    """Run the unit tests, which need no kernel, and print how much of plugins/ they execute."""
    words = () if session.posargs else ("--cov", "--cov-report=term:skip-covered", "--cov-report=html")
    pytest(session, "units", "tests/unit", *words)


@nox.session(tags=["tests", "kernels"])
def integration(session: nox.Session) -> None:
    """Run the integration tests: real kernels of three series behind real ssh servers."""
    if not shutil.which("java"):
        leave_out(session, "rulebooks, which need Java; their event source ran by itself")
    run(session, "tests/kernels/fetch", HOME=USER_HOME)
    pytest(session, "integration", "tests/integration", "--durations=40", workers=3)


@nox.session(tags=["tests", "kernels"])
def molecule(session: nox.Session) -> None:
    """Run the molecule scenarios of the roles."""
    scenarios = list(ROOT.glob("extensions/molecule/*/molecule.yml"))
    with scratch() as folder:
        variables = {"ANSIBLE_SSH_CONTROL_PATH_DIR": folder / "cp", "MOLECULE_EPHEMERAL_DIRECTORY": folder / "molecule"}
        run(session, "molecule", "test", "--all", "--no-command-borders", *session.posargs, **variables)
    session.log(f"molecule: {len(scenarios)} scenarios passed, 0 failed")


@nox.session(tags=["tests"])
def faults(session: nox.Session) -> None:
    """Break things under real instances; UML_FAULTS=all also runs what takes long (see docs/reliability.md)."""
    run(session, "tests/kernels/fetch", HOME=USER_HOME)
    pytest(session, "faults", "tests/faults", workers=2)


def pytest(
    session: nox.Session, name: str, *words: str, workers: int = 1, programs: Path = PROGRAMS, **variables: str | Path
) -> None:
    """Run pytest, side by side where there are several workers.

    Some waits are too short when three instances boot at once on two busy cores. So what failed side by side must pass
    one at a time, and both reports are in the log.
    """
    with scratch() as folder:
        variables = {"HOME": USER_HOME, "ANSIBLE_SSH_CONTROL_PATH_DIR": folder / "cp", **variables}
        cache = CACHE / f"pytest-{name}"
        command: tuple[str | Path, ...] = (
            programs / "pytest",
            f"--basetemp={folder / 'tmp'}",
            f"-ocache_dir={cache}",
            *words,
            *session.posargs,
        )
        if workers == 1:
            run(session, *command, **variables)
            return
        try:
            run(session, *command, "-n", str(workers), **variables)
        except nox.command.CommandFailed:
            session.log("=== Once more, one at a time, what failed side by side ===")
            run(session, *command, "--last-failed", "--last-failed-no-failures=none", **variables)


@nox.session
def sanity(session: nox.Session) -> None:
    """Run ansible-test sanity with every Python that is installed, without ignore lines."""
    ansible_test_sanity(session, PROGRAMS)


def ansible_test_sanity(session: nox.Session, programs: Path) -> None:
    """Run it in a tree of the collection's name outside any git checkout: within one it tests nothing and says OK."""
    install_pip_bootstrap()
    with scratch() as folder:
        collection = folder / "ansible_collections" / "uml" / "mconsole"
        copy_checkout(collection)
        with session.chdir(collection):
            output = session.run(
                *(str(programs / "ansible-test"), "sanity", "--local", "--color", "no", *session.posargs),
                env={"PATH": search_path(programs)},
                silent=True,
                interrupt_timeout=PATIENCE,
                terminate_timeout=PATIENCE,
            )
    session.log(str(output))
    skipped = [line for line in str(output).splitlines() if "All targets skipped" in line or "Required program" in line]
    if skipped:
        session.error("; ".join(skipped))
    for line in str(output).splitlines():
        if line.startswith("WARNING: Skipping sanity test"):
            leave_out(session, line.removeprefix("WARNING: Skipping ").partition(" because")[0])


def install_pip_bootstrap() -> None:
    """Put our own bootstrap of pip where ansible-test would otherwise download one from a further host."""
    folder = private_home() / ".ansible" / "test" / "cache"
    folder.mkdir(parents=True, exist_ok=True)
    for version in ("23_1_2", "24_2", "25_2"):  # of ansible-core 2.17, 2.18 and 2.19, 2.20 to 2.22
        shutil.copy(ROOT / "tools" / "get_pip.py", folder / f"get_pip_{version}.py")


# Releases


@nox.session
def build_import_check(session: nox.Session) -> None:
    """Build the artifact of the checkout, install it, show its documentation, and import it as Galaxy does."""
    with scratch() as folder:
        copy_checkout(folder / "source")
        artifact = build(session, folder)
        install_and_look(session, folder, artifact, PROGRAMS)
        (folder / "importer.cfg").write_text("[galaxy-importer]\nrun_ansible_lint = false\n")  # see ansible_lint
        galaxy_import(session, folder, artifact, GALAXY_IMPORTER_CONFIG=folder / "importer.cfg")


@nox.session(default=False)
def release(session: nox.Session) -> None:
    """Make a release of what is committed, publish nothing; with `-- --changelog`, make its changelog before that."""
    run(session, "python", "tools/release.py", "refuse", *session.posargs)
    if session.posargs:
        run(session, "antsibull-changelog", "release", "--update-existing", "--reload-plugins")
        session.log("CHANGELOG.rst is up to date. Read it, and commit it with changelogs/.")
        return
    with scratch() as folder:
        (folder / "source").mkdir()
        run(session, "git", "archive", "--output", folder / "source.tar", "HEAD")
        run(session, "tar", "-xf", folder / "source.tar", "-C", folder / "source")
        artifact = build(session, folder)
        galaxy_import(session, folder, artifact)
        programs = environment(session, folder / "clean", sys.executable, own_requirements(("ansible-core",)))
        install_and_look(session, folder, artifact, programs)
        run(session, "tools/demo", UML_DEMO_COLLECTIONS=folder / "installed", UML_DEMO_PROGRAMS=programs)
        (CACHE / "dist").mkdir(parents=True, exist_ok=True)
        shutil.copy(artifact, CACHE / "dist")
    run(session, "python", "tools/release.py", "publishing", CACHE / "dist" / artifact.name)


def build(session: nox.Session, folder: Path) -> Path:
    """Build the artifact of FOLDER/source, and look at what is in it."""
    run(session, "ansible-galaxy", "collection", "build", "--output-path", folder, folder / "source")
    (artifact,) = folder.glob("uml-mconsole-*.tar.gz")
    run(session, "python", "tools/release.py", "inspect", artifact)
    return artifact


def install_and_look(session: nox.Session, folder: Path, artifact: Path, programs: Path) -> None:
    """Install an artifact into FOLDER/installed, where there is no other collection, and use what it holds."""
    variables = {"HOME": folder / "home", "ANSIBLE_COLLECTIONS_PATH": folder / "installed"}
    variables["HOME"].mkdir(exist_ok=True)
    run(
        session, programs / "ansible-galaxy", "collection", "install", "-p", folder / "installed", artifact, **variables
    )
    run(session, "python", "tools/release.py", "documentation", programs / "ansible-doc", **variables)
    run(session, programs / "ansible", "localhost", "-m", "uml.mconsole.instance_info", "-a", "umid=none", **variables)


def galaxy_import(session: nox.Session, folder: Path, artifact: Path, **config: Path) -> None:
    """Run what Galaxy runs on an upload; it needs a newer Python than the rest."""
    python = next(filter(None, map(find_python, ("3.12", "3.13", "3.14"))), None)
    if python is None:
        leave_out(session, "galaxy-importer, which needs Python 3.12 or later")
        return
    requirements = (ROOT / "tools" / "requirements-importer.txt").read_text()
    programs = environment(session, CACHE / "importer", python, requirements)
    variables = {"HOME": folder / "home", "ANSIBLE_COLLECTIONS_PATH": folder / "none", **config}
    with session.chdir(folder):
        words = (programs / "python", ROOT / "tools" / "galaxy_import.py", artifact.name)
        run(session, *words, PATH=search_path(programs), **variables)


# The matrix of ansible-cores and Pythons


def find_python(version: str) -> str | None:
    """Return the path of a Python that works; a shim may answer to its name and have nothing behind it."""
    places = [Path(folder) / f"python{version}" for folder in os.environ["PATH"].split(os.pathsep)]
    return next((str(path) for path in places if path.exists() and is_python(path, version)), None)


def is_python(path: Path, version: str) -> bool:
    """Return whether a program is this Python, and can make environments."""
    question = "import sys, venv, ensurepip; sys.exit('%d.%d' % sys.version_info[:2] != sys.argv[1])"
    return subprocess.run([path, "-c", question, version], capture_output=True, check=False).returncode == 0


def own_requirements(names: Sequence[str]) -> str:
    """Return the lines of tools/requirements.txt about these packages."""
    lines = (ROOT / "tools" / "requirements.txt").read_text().splitlines()
    return "\n".join(line for line in lines if line.partition("==")[0] in names) + "\n"


def environment(session: nox.Session, folder: Path, python: str, requirements: str) -> Path:
    """Return the programs of an environment with these packages, made where it is not there yet."""
    stamp = folder / ".requirements.txt"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != requirements:
            run(session, python, "-m", "venv", "--clear", folder)
            (folder / "wanted.txt").write_text(requirements)
            pip = (folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "--quiet", "install")
            run(session, *pip, "-r", folder / "wanted.txt")
            stamp.write_text(requirements)
    return folder / "bin"


def controller(session: nox.Session, core: str, version: str) -> Path:
    """Return the programs of an ansible-core and a Python, or skip the session.

    pytest-ansible is the newest that takes this ansible-core; the rest is what the collection is developed with.
    """
    python = find_python(version) or session.skip(f"no Python {version}")
    pinned = own_requirements(("hypothesis", "pytest", "pytest-timeout", "pytest-xdist"))
    requirements = f"ansible-core~={CANDIDATES.get(core, f'{core}.0')}\npytest-ansible\n{pinned}"
    return environment(session, CACHE / "matrix" / f"{core}-{version}", str(python), requirements)


def newest_controller(session: nox.Session, core: str) -> Path:
    """Return the programs of an ansible-core with the newest Python that is installed and that it takes."""
    version = next(filter(find_python, reversed(CONTROLLERS[core])), None)
    return controller(session, core, version or CONTROLLERS[core][-1])


def cells(table: dict[str, tuple[str, ...]], chosen: Callable[[str, str], bool]) -> list[Any]:
    """Return every (ansible-core, Python): `-t matrix` runs the chosen ones, `-t core-2.19` all of an ansible-core."""
    rows = [(core, version) for core, versions in table.items() for version in versions]
    return [
        nox.param(*row, id=f"core-{row[0]}-py{row[1]}", tags=[f"core-{row[0]}", *(["matrix"] * chosen(*row))])
        for row in rows
    ]


def is_oldest_or_newest(core: str, version: str) -> bool:
    """Return whether no older or no newer ansible-core takes this Python on a VM host."""
    cores = [core for core, versions in VM_HOSTS.items() if version in versions]
    return core in (cores[0], cores[-1])


@nox.session(default=False)
@nox.parametrize("core", [nox.param(core, id=f"core-{core}", tags=["matrix", f"core-{core}"]) for core in CONTROLLERS])
def matrix_sanity(session: nox.Session, core: str) -> None:
    """Run ansible-test sanity of an ansible-core."""
    ansible_test_sanity(session, newest_controller(session, core))


@nox.session(default=False)
@nox.parametrize("core,version", cells(CONTROLLERS, lambda _core, _version: True))
def matrix_units(session: nox.Session, core: str, version: str) -> None:
    """Run the unit tests with an ansible-core and a Python of the controller."""
    matrix_pytest(session, controller(session, core, version), "tests/unit")


@nox.session(default=False)
@nox.parametrize("core,version", cells(CONTROLLERS, lambda _core, _version: True))
def matrix_integration(session: nox.Session, core: str, version: str) -> None:
    """Run the integration tests marked `smoke` with an ansible-core and a Python of the controller."""
    run(session, "tests/kernels/fetch", HOME=USER_HOME)
    matrix_pytest(session, controller(session, core, version), "-m", "smoke", "tests/integration", workers=2)


@nox.session(default=False)
@nox.parametrize("core,version", cells(VM_HOSTS, is_oldest_or_newest))
def matrix_vm_hosts(session: nox.Session, core: str, version: str) -> None:
    """Run every module on real instances, with a Python of the VM host."""
    python = find_python(version) or session.skip(f"no Python {version}")
    run(session, "tests/kernels/fetch", HOME=USER_HOME)
    words = ("tests/integration/test_every_module.py",)
    matrix_pytest(session, newest_controller(session, core), *words, UML_VM_HOST_PYTHON=str(python))


def matrix_pytest(session: nox.Session, programs: Path, *words: str, workers: int = 1, **variables: str | Path) -> None:
    """Run pytest of an environment; what failed in another environment is not run once more."""
    name = f"{programs.parent.name}-{session.name.partition('(')[0]}"
    pytest(session, name, *words, workers=workers, programs=programs, PATH=search_path(programs), **variables)
