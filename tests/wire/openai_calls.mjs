// Calls of OpenAI's Node client. Run with the folder that it is installed in, the base URLs of the service's and of
// OpenAI's interface, the key, the URL of a good source and the path of a good file; prints what the calls returned.
import { createReadStream, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const [folder, compatible, own, key, good, file] = process.argv.slice(2);
const { OpenAI } = createRequire(join(folder, "package.json"))("openai");
const chat = new OpenAI({ apiKey: key, baseURL: compatible, maxRetries: 0 });
const audio = new OpenAI({ apiKey: key, baseURL: own, maxRetries: 0 });
const said = {};

const asked = (data, members) => ({
  model: "qwen3-asr-flash",
  messages: [{ role: "user", content: [{ type: "input_audio", input_audio: { data } }] }],
  ...members,
});

// This client sends extra_body as it stands, which is how the service's samples for it are written.
const options = { extra_body: { asr_options: { language: "en", enable_itn: false } } };

said.chat = await chat.chat.completions.create(asked(good, { stream: false, ...options }));
const data = `data:audio/wav;base64,${readFileSync(file).toString("base64")}`;
said.data = await chat.chat.completions.create(asked(data, options));

said.stream = [];
const streaming = { stream: true, stream_options: { include_usage: true }, ...options };
for await (const chunk of await chat.chat.completions.create(asked(good, streaming))) said.stream.push(chunk);

said.models = [];
for await (const model of chat.models.list()) said.models.push(model.id);

for (const response_format of ["json", "text", "verbose_json"]) {
  said[response_format] = await audio.audio.transcriptions.create({
    file: createReadStream(file),
    model: "whisper-1",
    language: "en",
    response_format,
  });
}

const refused = async (name, call) => {
  try {
    await call();
  } catch (error) {
    said[name] = { class: error.constructor.name, status: error.status, code: error.code, message: error.message };
  }
};
const wrong = new OpenAI({ apiKey: "sk-wrong", baseURL: compatible, maxRetries: 0 });
await refused("wrong key", () => wrong.chat.completions.create(asked(good)));
await refused("unknown model", () => chat.chat.completions.create(asked(good, { model: "qwen4-asr" })));
await refused("no sound", () => chat.chat.completions.create(asked("data:audio/wav;base64,AAAA")));

process.stdout.write(JSON.stringify(said));
