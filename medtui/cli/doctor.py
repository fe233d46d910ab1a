"""`medtui doctor`: what the Machine screen's diagnostics say, without a console."""

from __future__ import annotations

from medtui.cli.options import DataOption, JsonOption, OfflineOption, WorkspaceOption


def doctor(
    workspace: WorkspaceOption = None,
    data: DataOption = None,
    offline: OfflineOption = False,
    json: JsonOption = False,
) -> int:
    """Check the machine and suggest remedies; exit code 1 when a check fails."""
    from engine.contract.store.workspace import find_workspace
    from medtui.cli.run import data_folders
    from medtui.client.diagnose import diagnose
    from medtui.machine.checks import as_values, run_checks
    from medtui.output import print_json, print_line

    ws = find_workspace(workspace)
    folders = data_folders(data)
    checks = run_checks(ws, folders, diagnose(ws))
    if json:
        print_json(as_values(checks))
    else:
        for check in checks:
            print_line(f"{check.level:<5} {check.title:<17} {check.found}")
            if check.remedy:
                print_line(f"{'':<23} → {check.remedy}")
    return 1 if any(check.level == "fail" for check in checks) else 0
