"""A program written for the OpenAI Images API, with only the base URL changed."""

import base64
import os

import openai

URL = os.environ["REPROMPT_URL"]
client = openai.OpenAI(base_url=f"{URL}/v1", api_key="none", max_retries=0)
PNG = b"\x89PNG\r\n\x1a\n"


def fails(kind, code, param, **arguments):
    """The client raises this error for these arguments, with a message."""
    try:
        client.images.generate(**{"prompt": "a cat on the beach", **arguments})
    except kind as error:
        assert (error.code, error.param) == (code, param), error.body
        assert error.request_id and error.body["message"], error.body
        return
    raise AssertionError(f"{arguments} are taken")


models = client.models.list()
assert [model.id for model in models] == ["reprompt-demo"], models
assert client.models.retrieve("reprompt-demo").owned_by == "reprompt"

quick = {"extra_body": {"seed": 7, "num_inference_steps": 2}}
answer = client.images.generate(prompt="a cat on the beach", model="reprompt-demo", n=2, size="64x64", **quick)
files = [base64.b64decode(image.b64_json) for image in answer.data]
assert len(files) == 2 and files[0] != files[1] and all(file.startswith(PNG) for file in files)
assert (answer.size, answer.output_format, answer.background) == ("64x64", "png", "opaque"), answer
assert answer.created > 1_700_000_000

hints = {"quality": "standard", "style": "vivid", "user": "alice", "background": "auto", "moderation": "low"}
answer = client.images.generate(prompt="a cat on the beach", size="64x64", response_format="url", **hints, **quick)
kind, _, file = answer.data[0].url.partition(",")
assert kind == "data:image/png;base64" and base64.b64decode(file) == files[0]

answer = client.images.generate(
    prompt="a cat on the beach", size="64x64", output_format="webp", output_compression=50, **quick
)
assert base64.b64decode(answer.data[0].b64_json)[8:12] == b"WEBP"

seen = []
steps = {"extra_body": {"seed": 7, "num_inference_steps": 4}}
for event in client.images.generate(prompt="a cat on the beach", size="64x64", stream=True, partial_images=2, **steps):
    seen.append(event.type)
    assert base64.b64decode(event.b64_json).startswith(PNG)
assert seen == ["image_generation.partial_image"] * 2 + ["image_generation.completed"], seen

fails(openai.NotFoundError, "model_not_found", "model", model="dall-e-3")
fails(openai.UnprocessableEntityError, "unsupported_size", "size", size="100x100")
fails(openai.UnprocessableEntityError, "invalid_value", "n", n=11)
fails(openai.UnprocessableEntityError, "empty_prompt", "prompt", prompt=" ")
fails(openai.BadRequestError, "unknown_field", "sede", extra_body={"sede": 1})
late = {"extra_body": {"num_inference_steps": 900}, "extra_headers": {"cancel-after": "200ms"}}
try:
    for _ in client.images.generate(prompt="a cat on the beach", stream=True, **late):
        pass
    raise AssertionError("an image in no time")
except openai.APIError as error:
    assert error.code == "deadline_exceeded", error

print(f"openai {openai.__version__}: models, images, urls, a stream and errors are as the client expects them")
