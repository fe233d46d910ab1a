"""`medtui doctor`: what the Machine screen's diagnostics say, without a console."""

from __future__ import annotations

from medtui.cli.options import DataOption, JsonOption, WorkspaceOption


def doctor(workspace: WorkspaceOption = None, data: DataOption = None, json: JsonOption = False) -> int:
    """Check the machine, line by line with remedies; exit code 1 when a check fails."""
    import typer

    from engine.contract.workspace import find_workspace
    from medtui.cli.run import data_folders
    from medtui.client.diagnose import diagnose
    from medtui.machine.checks import as_values, run_checks
    from medtui.text import clean, json_text

    place = find_workspace(workspace)
    folders = data_folders(data)
    checks = run_checks(place, folders, diagnose(place))
    if json:
        typer.echo(json_text(as_values(checks)))
    else:
        for check in checks:
            typer.echo(f"{check.level:<5} {check.title:<17} {clean(check.found, 600)}")
            if check.remedy:
                typer.echo(f"{'':<23} → {clean(check.remedy, 600)}")
    return 1 if any(check.level == "fail" for check in checks) else 0
