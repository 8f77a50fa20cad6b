"""Jenkins: a declarative pipeline for a multibranch job. Records travel as stashes, credentials by binding."""

from __future__ import annotations

import json
import shlex

from orchestrator.ci.generate import Application, made_by

FILE = "Jenkinsfile"
_REGISTRY = (
    "usernamePassword(credentialsId: 'registry', usernameVariable: 'HYBRID_CI_REGISTRY_USERNAME', "
    "passwordVariable: 'HYBRID_CI_REGISTRY_PASSWORD')"
)
_GITOPS = "string(credentialsId: 'gitops-token', variable: 'HYBRID_CI_GIT_TOKEN')"


def jenkinsfile(application: Application) -> str:
    """The application's pipeline: a commit on the branch releases."""
    bound = [
        _REGISTRY,
        *(f"string(credentialsId: {_text(name)}, variable: {_text(name)})" for name in application.secrets),
    ]
    builds = "\n".join(_build(image, bound) for image in application.images)
    unstash = "\n".join(f"        unstash {_text(f'record-{image}')}" for image in application.images)
    return f"""\
// {made_by("jenkins", application.config)}
// Needs agents with the labels docker (an engine, and hybrid-ci on PATH) and gitops (hybrid-ci on PATH, no engine), and
// the credentials registry and gitops-token. Keep gitops-token in a folder that only this pipeline is in.
pipeline {{
  agent none
  options {{
    disableConcurrentBuilds()
    skipDefaultCheckout()
    timeout(time: 2, unit: 'HOURS')
  }}
  environment {{
    HYBRID_CI_CONFIG = {_text(application.config)}
  }}
  stages {{
    stage('build') {{
      when {{
        beforeAgent true
        branch {_text(application.branch)}
        not {{ changeRequest() }}
      }}
      parallel {{
{builds}
      }}
    }}
    stage('pull request') {{
      when {{
        beforeAgent true
        branch {_text(application.branch)}
        not {{ changeRequest() }}
      }}
      agent {{ label 'gitops' }}
      steps {{
        checkout scm
{unstash}
        withCredentials([{_REGISTRY}, {_GITOPS}]) {{
          sh "hybrid-ci handoff --records 'records/*.json' --record release.json"
        }}
        archiveArtifacts artifacts: 'release.json'
      }}
    }}
  }}
}}
"""


def _build(image: str, bound: list[str]) -> str:
    record = f"records/{image}.json"
    command = shlex.join(["hybrid-ci", "build", "--image", image, "--record", record])
    return f"""\
        stage({_text(f"build {image}")}) {{
          agent {{ label 'docker' }}
          environment {{
            HYBRID_CI_JUNIT = {_text(f"junit-{image}.xml")}
          }}
          steps {{
            checkout scm
            withCredentials([{", ".join(bound)}]) {{
              sh {_text(command)}
            }}
            stash name: {_text(f"record-{image}")}, includes: {_text(record)}
          }}
          post {{
            always {{
              junit allowEmptyResults: true, testResults: {_text(f"junit-{image}.xml")}
            }}
          }}
        }}"""


def _text(value: str) -> str:
    """A Groovy string in which nothing is interpolated."""
    return "'" + json.dumps(value, ensure_ascii=False)[1:-1].replace('\\"', '"').replace("'", "\\'") + "'"
