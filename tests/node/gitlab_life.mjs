// The life of a merge request, lived by an independent client: @gitbeaker/rest against the fake GitLab.
// Arguments: host, token, project. Prints what the client understood.
import { Gitlab } from "@gitbeaker/rest";

const [host, token, project] = process.argv.slice(2);
const api = new Gitlab({ host, oauthToken: token });

const before = await api.Projects.show(project);
const branches = await api.Branches.all(project);
const made = await api.MergeRequests.create(project, "hybrid-ci/prod/shop", "main", "Draft: Release", {
  description: "Two images.",
});
let second;
try {
  await api.MergeRequests.create(project, "hybrid-ci/prod/shop", "main", "Again");
} catch (error) {
  second = { status: error.cause?.response?.status, description: error.cause?.description };
}
const ready = await api.MergeRequests.edit(project, made.iid, { title: "Release", addLabels: "release" });
const all = await api.MergeRequests.all({ projectId: project, sourceBranch: "hybrid-ci/prod/shop", state: "opened" });
await api.MergeRequestNotes.create(project, made.iid, "Looks good.");
const notes = await api.MergeRequestNotes.all(project, made.iid);
await api.Commits.editStatus(project, made.sha, "success", { name: "flux" });
const statuses = await api.Commits.allStatuses(project, made.sha);
const comparison = await api.Repositories.compare(project, "main", "hybrid-ci/prod/shop");
const merged = await api.MergeRequests.merge(project, made.iid, { sha: made.sha });
let missing;
try {
  await api.MergeRequests.show(project, 99);
} catch (error) {
  missing = error.cause?.response?.status;
}

console.log(
  JSON.stringify({
    project: before.path_with_namespace,
    branches: branches.map((branch) => branch.name),
    draft: made.draft,
    second,
    labels: ready.labels,
    title: ready.title,
    found: all.map((one) => one.iid),
    notes: notes.map((note) => note.body),
    statuses: statuses.map((status) => [status.name, status.status]),
    compared: comparison.commits.map((commit) => commit.id),
    state: merged.state,
    mergeCommit: merged.merge_commit_sha,
    missing,
  }),
);
