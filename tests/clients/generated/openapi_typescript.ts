// Bodies with as few fields as the service needs, and answers, by the types of openapi-typescript.

import type { components, paths } from "./schema";

type Body<Path extends keyof paths> = paths[Path] extends {
  post: { requestBody: { content: { "application/json": infer Body } } };
}
  ? Body
  : never;

// The README's edit.
export const edit: Body<"/v1/edits"> = {
  source: { prompt: "a car in the city", seed: 7 },
  prompt: "a bus in the city",
};
export const flat: Body<"/v1/edits"> = { source_prompt: "a car in the city", target_prompt: "a bus in the city" };
export const session: Body<"/v1/sessions"> = { source: { prompt: "a car in the city" } };
export const ofSession: Body<"/v1/sessions/{id}/edits"> = { prompt: "a bus in the city", local_blend: true };
export const images: Body<"/v1/images/generations"> = { prompt: "a car in the city", scheduler: "ddim" };
export const align: Body<"/v1/align"> = { source_prompt: "a car in the city", prompt: "a bus in the city" };
// @ts-expect-error a field that the service does not know
export const misspelt: Body<"/v1/edits"> = { source: { prompt: "a car" }, prompt: "a bus", sede: 7 };
// @ts-expect-error a source without its prompt
export const incomplete: Body<"/v1/edits"> = { source: { seed: 7 }, prompt: "a bus" };

export function shown(answer: components["schemas"]["EditResponse"]): string {
  const [image] = answer.data;
  return `${answer.session.id} ${answer.timings_ms.total} ${image?.b64_json.length}`;
}
export function failed(problem: components["schemas"]["ProblemBody"]): string {
  return problem.code === "word_not_found" ? `${problem.param}: ${problem.detail}` : problem.title;
}
