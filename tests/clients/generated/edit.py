"""The README's edit with the client of openapi-python-client, and a mistake."""

import base64
import os

from reprompt_client import Client
from reprompt_client.api.edits import create_edit
from reprompt_client.models import EditOfSource, EditResponse, ProblemBody, SourceRequest

client = Client(base_url=os.environ["REPROMPT_URL"], timeout=300)
body = EditOfSource(source=SourceRequest(prompt="a car in the city", seed=7), prompt="a bus in the city")
answer = create_edit.sync(client=client, body=body)
assert isinstance(answer, EditResponse), answer
assert base64.b64decode(answer.data[-1].b64_json).startswith(b"\x89PNG"), answer
assert (answer.seed, answer.session.recording) == (7, "created"), answer

wrong = EditOfSource(source=SourceRequest(prompt="a car in the city"), prompt=" ")
problem = create_edit.sync(client=client, body=wrong)
assert isinstance(problem, ProblemBody) and problem.code == "empty_prompt", problem

print("openapi-python-client: the README's edit is made, and a problem has its code")
