"""Two persons on the command line: a draft is approved by somebody else, and then released."""

from warehouse import Workspace, open_store

APPROVED = 'approval = "second_person"\n'


def statuses(workspace):
    with open_store(Workspace.open(workspace)) as store:
        return {a.allocation_id: a.status for a in store.allocations(campaign="spring")}


def test_a_draft_is_approved_by_somebody_else_and_then_released(allot, workspace, campaign):
    here = ("--workspace", workspace, "--output", "json")
    made = allot("allocate", campaign(APPROVED), *here).document
    name = made["allocation_id"]
    assert (made["status"], statuses(workspace)) == ("draft", {name: "draft"})
    allot("release", name, *here).refused(5, "is draft", "second person approves")
    with open_store(Workspace.open(workspace)) as store:
        asked_by = next(entry.actor for entry in store.audit_trail(subject=name))
    allot("approve", name, "--by", asked_by, *here).refused(5, "cannot approve it", "second person")
    assert allot("approve", name, "--by", "grace", *here).document["status"] == "approved"
    assert allot("release", name, "--by", "ada", *here).document["status"] == "released"
    assert statuses(workspace) == {name: "released"}
    assert allot("release", name, *here).document["status"] == "released"
    with open_store(Workspace.open(workspace)) as store:
        trail = [(entry.actor, entry.action) for entry in store.audit_trail(subject=name)]
    assert trail == [(asked_by, "allocate"), ("grace", "approve"), ("ada", "release")]


def test_people_are_told_what_a_draft_waits_for(allot, workspace, campaign):
    said = allot("allocate", campaign(APPROVED), "--workspace", workspace)
    assert said.code == 0
    assert "allot approve alloc-" in said.out
    assert "four times of five" in said.out
    allot("approve", "alloc-0", "--by", "grace", "--workspace", workspace).refused(8, "alloc-0")
