// The README's edit with the client of @hey-api/openapi-ts.

import { createEdit } from "./hey_api/sdk.gen";

const { data, error } = await createEdit({
  baseUrl: "http://127.0.0.1:8080",
  body: { source: { prompt: "a car in the city", seed: 7 }, prompt: "a bus in the city" },
});
if (error) throw new Error(error.detail);
console.log(data);
