/**
 * `data` of the events that end a chat. Unknown is null, never absent.
 */
export interface ChatData {
    /**
     * Of the answer's body; null after a restart of the relay.
     */
    bytes: number | null;
    /**
     * The relay's id of the chat.
     */
    chat_id: string;
    /**
     * The answers, put together, in the order of their index.
     */
    choices: Choice[];
    /**
     * Chunk objects that the upstream sent; 0 if it did not stream.
     */
    chunks: number;
    /**
     * The name under `proxy.clients`; null for an unnamed client.
     */
    client: null | string;
    /**
     * The upstream's id of the answer.
     */
    completion_id: null | string;
    /**
     * What the upstream said went wrong; else null.
     */
    error: null | UpstreamError;
    /**
     * Chunks that are in no chunk event, or could not be read.
     */
    gaps: number;
    /**
     * The upstream's status; null if it gave no answer.
     */
    http_status: number | null;
    /**
     * As the upstream names it, else as it was asked for.
     */
    model: null | string;
    /**
     * How it ended.
     */
    outcome: Outcome;
    /**
     * Why; null for an ordinary completion.
     */
    reason: Reason | null;
    /**
     * What was asked; null where `capture.request` is `none`.
     */
    request: null | RequestData;
    timings: ChatTimings;
    /**
     * Whether texts in `choices` are cut, for size.
     */
    truncated: boolean;
    /**
     * As the upstream gave it, keys and all.
     */
    usage: { [key: string]: unknown } | null;
    /**
     * Whether the upstream gave `usage`.
     */
    usage_source: UsageSource;
    [property: string]: unknown;
}

/**
 * One answer of the model, put together from its deltas.
 */
export interface Choice {
    /**
     * The pieces joined; null if there was none, or not captured.
     */
    content: null | string;
    /**
     * The upstream's word: `stop`, `length`, `tool_calls`, ...
     */
    finish_reason: null | string;
    /**
     * Its place among the choices, as the upstream counts them.
     */
    index: number;
    /**
     * The reasoning, from `reasoning_content`, `reasoning` or `reasoning_details`.
     */
    reasoning_content: null | string;
    /**
     * As given; usually `assistant`.
     */
    role: null | string;
    /**
     * In the order of their index.
     */
    tool_calls: ToolCall[];
    [property: string]: unknown;
}

/**
 * One tool call of the model.
 */
export interface ToolCall {
    function: Function;
    /**
     * The upstream's id of the call.
     */
    id: null | string;
    /**
     * Its place among the choice's calls, as the upstream counts them.
     */
    index: number;
    /**
     * `function`.
     */
    type: null | string;
    [property: string]: unknown;
}

/**
 * The function that the model calls.
 */
export interface Function {
    /**
     * The pieces joined: JSON text, if the model wrote JSON.
     */
    arguments: null | string;
    /**
     * Its name.
     */
    name: null | string;
    [property: string]: unknown;
}

/**
 * The error that the upstream reported, in any of its formats.
 */
export interface UpstreamError {
    /**
     * The upstream's code as text, such as `503`.
     */
    code: null | string;
    /**
     * For people; at most 500 characters; null where content is not captured.
     */
    message: null | string;
    /**
     * The upstream's type or reason, such as `RATE_LIMIT_EXCEEDED`.
     */
    type: null | string;
    [property: string]: unknown;
}

/**
 * How it ended.
 */
export type Outcome = "completed" | "failed" | "cancelled";

export type Reason = "client_gone" | "empty" | "error_status" | "not_json" | "relay_restarted" | "relay_shutdown" | "slow_client" | "truncated" | "upstream_error" | "upstream_reset" | "upstream_timeout" | "upstream_unreachable";

/**
 * What the client requested, as far as `capture.request` allows it.
 */
export interface RequestData {
    /**
     * Size of the request's body.
     */
    bytes: number;
    /**
     * As sent; null unless `capture.request` is `full`, or above 256 KiB.
     */
    messages: unknown[] | null;
    /**
     * Messages in the request.
     */
    messages_count: number | null;
    /**
     * Numbers, switches and known words such as `temperature`; no texts.
     */
    parameters: { [key: string]: unknown };
    /**
     * As sent; null as `messages` is.
     */
    tools: unknown[] | null;
    /**
     * Tools offered to the model; 0 without any.
     */
    tools_count: number | null;
    [property: string]: unknown;
}

/**
 * When things happened, in whole milliseconds after `started_at`.
 */
export interface ChatTimings {
    /**
     * To the end; null after a restart of the relay.
     */
    duration_ms: number | null;
    /**
     * To the first byte of the answer's body.
     */
    first_byte_ms: number | null;
    /**
     * To the first content, reasoning or tool call of a stream.
     */
    first_token_ms: number | null;
    /**
     * When the request was received.
     */
    started_at: string;
    [property: string]: unknown;
}

/**
 * Whether the upstream gave `usage`.
 */
export type UsageSource = "reported" | "absent";

/**
 * ``data`` of the events `relay.task.*`. Unknown is null, never absent.
 */
export interface TaskData {
    /**
     * Expected time to the end, in seconds, as reported.
     */
    eta_seconds: number | null;
    /**
     * How relay observed it.
     */
    observed_via: ObservedVia;
    /**
     * Images, then videos, then audios, each in upstream order.
     */
    outputs: Output[];
    /**
     * As reported; 0 is normal for an image that succeeded.
     */
    progress_percent: number | null;
    /**
     * The upstream's task result with unknown fields, secrets and prompts redacted; can be off.
     */
    raw: { [key: string]: unknown } | null;
    /**
     * Why it failed, in the upstream's words, or why it was abandoned: one of the relay's codes.
     */
    reason: null | string;
    /**
     * When relay observed it.
     */
    received_at: string;
    /**
     * Digits as text: seeds outgrow the integers of many readers.
     */
    seed: null | string;
    /**
     * The relay's word for the state of the task.
     */
    status: Status;
    /**
     * The upstream's id; opaque.
     */
    task_id: string;
    /**
     * The upstream's name of the type, an open set; of a submitted task its endpoint's name.
     */
    task_type: null | string;
    /**
     * Whether it is a mock event (webhook test mode); null when the upstream did not say.
     */
    test: boolean | null;
    /**
     * The upstream's own times.
     */
    timings: Timings;
    /**
     * The upstream's word, such as `TASK_STATUS_SUCCEED`.
     */
    upstream_status: null | string;
    [property: string]: unknown;
}

/**
 * How relay observed it.
 */
export type ObservedVia = "webhook" | "poll" | "submit";

/**
 * One generated file.
 */
export interface Output {
    /**
     * When the URL dies: from its signature, else receipt plus `ttl_seconds`, else unknown.
     */
    expires_at: null | string;
    /**
     * The upstream's type of the file, such as `jpeg`, `mp4`, `wav`.
     */
    format: null | string;
    /**
     * Taken from the array that held it, not from the name of the task's type.
     */
    kind: Kind;
    /**
     * The upstream's metadata of this file; for audio `text`, `start_time`, `end_time` (s).
     */
    metadata: { [key: string]: unknown } | null;
    /**
     * The upstream's NSFW verdict; null where it gave none.
     */
    nsfw: null | Nsfw;
    /**
     * Life of the URL in seconds, counted by the upstream; its 0 means unknown, so null.
     */
    ttl_seconds: number | null;
    /**
     * Where to fetch it, as given; often presigned for about an hour.
     */
    url: null | string;
    [property: string]: unknown;
}

/**
 * Taken from the array that held it, not from the name of the task's type.
 */
export type Kind = "image" | "video" | "audio";

/**
 * The upstream's verdict on one output, as far as it gave one.
 */
export interface Nsfw {
    /**
     * The upstream's confidence in it, in the upstream's scale.
     */
    confidence: number | null;
    /**
     * The upstream's `valid` flag.
     */
    valid: boolean | null;
    [property: string]: unknown;
}

/**
 * The relay's word for the state of the task.
 */
export type Status = "submitted" | "running" | "succeeded" | "failed" | "abandoned";

/**
 * The upstream's own times.
 *
 * When the upstream says that things happened.
 */
export interface Timings {
    /**
     * Work on it ended.
     */
    finished_at: null | string;
    /**
     * Work on it began.
     */
    started_at: null | string;
    /**
     * The task was submitted.
     */
    submitted_at: null | string;
    [property: string]: unknown;
}
