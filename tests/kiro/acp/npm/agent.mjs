// An agent made with the server side of the npm package: nothing in it is Kiro's. The package checks every frame that
// our client sends against the protocol's schema, and answers one that is wrong with an error.
import * as acp from "@agentclientprotocol/sdk";
import { Readable, Writable } from "node:stream";

const SESSION = "33333333-3333-3333-3333-333333333333";
const update = acp.methods.client.session.update;
let stop = () => {};
let prompts = 0;

const text = (words) => ({ type: "text", text: words });

async function prompt({ params: { sessionId, prompt: [asked] }, client }) {
    const tell = (body) => client.notify(update, { sessionId, update: body });
    const say = (words) => tell({ sessionUpdate: "agent_message_chunk", content: text(words) });
    prompts += 1;
    if (asked.text === "wait") {
        const stopped = new Promise((resolve) => (stop = resolve));
        await say("waiting");
        await stopped;
        return { stopReason: "cancelled" };
    }
    if (asked.text === "fail") {
        throw acp.RequestError.internalError({ details: "The model has gone." });
    }
    if (asked.text === "ask something unknown") {
        const refused = await client.request("example/unknown", {}).then(() => "answered", (error) => String(error.code));
        await say(refused);
        return { stopReason: "end_turn" };
    }
    await tell({ sessionUpdate: "agent_thought_chunk", content: text("let me see") });
    await tell({ sessionUpdate: "plan", entries: [{ content: "look", priority: "high", status: "in_progress" }] });
    const call = { toolCallId: "call-1", title: "Look around", kind: "execute", rawInput: { command: "ls" } };
    await tell({ sessionUpdate: "tool_call", status: "pending", ...call });
    const { outcome } = await client.request(acp.methods.client.session.requestPermission, {
        sessionId,
        toolCall: { toolCallId: "call-1" },
        options: [
            { optionId: "yes", name: "Yes", kind: "allow_once" },
            { optionId: "no", name: "No", kind: "reject_once" },
        ],
    });
    const allowed = outcome.outcome === "selected" && outcome.optionId === "yes";
    const content = [{ type: "content", content: text(allowed ? "a file" : "not allowed") }];
    const status = allowed ? "completed" : "failed";
    await tell({ sessionUpdate: "tool_call_update", toolCallId: "call-1", status, content });
    for (let piece = 0; piece < 100; piece += 1) await say(`${piece} `);
    await say(`prompt ${prompts}: ${asked.text}`);
    return { stopReason: "end_turn" };
}

async function load({ params: { sessionId }, client }) {
    const tell = (kind, words) => client.notify(update, { sessionId, update: { sessionUpdate: kind, content: text(words) } });
    await tell("user_message_chunk", "an old prompt");
    await tell("agent_message_chunk", "an old answer");
    return {};
}

acp.agent({ name: "public-agent" })
    .onRequest("initialize", () => ({ protocolVersion: acp.PROTOCOL_VERSION, agentCapabilities: { loadSession: true } }))
    .onRequest("session/new", () => ({ sessionId: SESSION }))
    .onRequest("session/load", load)
    .onRequest("session/prompt", prompt)
    .onNotification("session/cancel", () => stop())
    .connect(acp.ndJsonStream(Writable.toWeb(process.stdout), Readable.toWeb(process.stdin)));
