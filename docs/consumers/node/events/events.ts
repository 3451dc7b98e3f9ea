/**
 * `data` of the events that end a chat. Unknown is null, never absent.
 */
export interface ChatData {
    /**
     * The API that was called: `chat_completions`, `completions`, `responses` or `messages`;
     * null if the chat's beginning is no longer retained.
     */
    api: null | string;
    /**
     * Size of the answer's body; null if relay was restarted.
     */
    bytes: number | null;
    /**
     * relay's id of the chat.
     */
    chat_id: string;
    /**
     * The assembled answers, sorted by index.
     */
    choices: Choice[];
    /**
     * Number of chunk objects from the upstream; 0 if not streamed.
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
     * The upstream's error, if it reported one.
     */
    error: null | UpstreamError;
    /**
     * Number of chunks that are in no chunk event, or could not be read.
     */
    gaps: number;
    /**
     * The upstream's status; null if it gave no answer.
     */
    http_status: number | null;
    /**
     * As the upstream names it, else as it was requested.
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
     * The request; null if `capture.request` is `none`.
     */
    request: null | RequestData;
    timings: ChatTimings;
    /**
     * What `usage` says, in the same words for every API.
     */
    tokens: Tokens;
    /**
     * Whether texts in `choices` were cut to keep the event small.
     */
    truncated: boolean;
    /**
     * As the upstream reported it, with all its keys.
     */
    usage: { [key: string]: unknown } | null;
    /**
     * Whether the upstream reported `usage`.
     */
    usage_source: UsageSource;
    [property: string]: unknown;
}

/**
 * One answer of the model, put together from its deltas.
 */
export interface Choice {
    /**
     * The joined pieces; null if there were none, or if not captured.
     */
    content: null | string;
    /**
     * As reported: `stop`, `length`, `tool_calls`, ...
     */
    finish_reason: null | string;
    /**
     * Its position among the choices, as the upstream numbers them.
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
     * Sorted by index.
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
     * Its position among the choice's calls, as the upstream numbers them.
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
     * The joined pieces: JSON as text, if it is valid.
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
     * For people; at most 500 characters; null if content is not captured.
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
     * `messages`, `input` or `prompt` as sent; null if larger than 256 KiB together with
     * `system` and `tools`, or unless `capture.request` is `full`.
     */
    messages: unknown[] | null | string;
    /**
     * Number of messages in the request; a text counts as one.
     */
    messages_count: number | null;
    /**
     * Numbers, booleans and known words, such as `temperature`; no free text.
     */
    parameters: { [key: string]: unknown };
    /**
     * `system` or `instructions` as sent, where the API has them; null in the same cases.
     */
    system: unknown[] | null | string;
    /**
     * As sent; null in the same cases as `messages`.
     */
    tools: unknown[] | null;
    /**
     * Number of tools offered to the model.
     */
    tools_count: number | null;
    [property: string]: unknown;
}

/**
 * When things happened, in whole milliseconds after `started_at`.
 */
export interface ChatTimings {
    /**
     * To the end; null if relay was restarted.
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
 * What `usage` says, in the same words for every API.
 *
 * Numbers of tokens; null where the upstream does not say.
 */
export interface Tokens {
    /**
     * Of the input: those written into a cache.
     */
    cache_written: number | null;
    /**
     * Of the input: those read from a cache.
     */
    cached: number | null;
    /**
     * Read, those from and into a cache included.
     */
    input: number | null;
    /**
     * Generated, reasoning included.
     */
    output: number | null;
    /**
     * Of the output: those of the reasoning.
     */
    reasoning: number | null;
    [property: string]: unknown;
}

/**
 * Whether the upstream reported `usage`.
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
     * The upstream's whole result, secrets and prompts redacted; null if `tasks.raw` is off.
     */
    raw: { [key: string]: unknown } | null;
    /**
     * Why it failed, in the upstream's words; or why it was abandoned, as one of relay's codes.
     */
    reason: null | string;
    /**
     * When relay observed it.
     */
    received_at: string;
    /**
     * Digits as text: seeds exceed the integers of many JSON parsers.
     */
    seed: null | string;
    /**
     * The state of the task, as relay names it.
     */
    status: Status;
    /**
     * The upstream's id; opaque.
     */
    task_id: string;
    /**
     * The upstream's name of the type, an open set; the endpoint's name for a submitted task.
     */
    task_type: null | string;
    /**
     * Whether it is a mock event (webhook test mode); null if the upstream did not say.
     */
    test: boolean | null;
    /**
     * The upstream's own times.
     */
    timings: Timings;
    /**
     * The state as reported: `TASK_STATUS_SUCCEED`, ...
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
     * When the URL expires: by its signature, else `ttl_seconds` after receipt, else unknown.
     */
    expires_at: null | string;
    /**
     * The file type as reported, such as `jpeg`, `mp4`, `wav`.
     */
    format: null | string;
    /**
     * From the array that contained it, not from the task's type.
     */
    kind: Kind;
    /**
     * The upstream's metadata for this file; for audio `text`, `start_time`, `end_time` (s).
     */
    metadata: { [key: string]: unknown } | null;
    /**
     * The upstream's NSFW verdict; null if it gave none.
     */
    nsfw: null | Nsfw;
    /**
     * How long the URL is valid, in seconds, as reported; null if unknown (reported as 0).
     */
    ttl_seconds: number | null;
    /**
     * Where to fetch it, as given; often presigned for about an hour.
     */
    url: null | string;
    [property: string]: unknown;
}

/**
 * From the array that contained it, not from the task's type.
 */
export type Kind = "image" | "video" | "audio";

/**
 * The upstream's verdict on one output.
 */
export interface Nsfw {
    /**
     * The upstream's confidence in it, on its own scale.
     */
    confidence: number | null;
    /**
     * The upstream's `valid` flag.
     */
    valid: boolean | null;
    [property: string]: unknown;
}

/**
 * The state of the task, as relay names it.
 */
export type Status = "submitted" | "running" | "succeeded" | "failed" | "abandoned";

/**
 * The upstream's own times.
 *
 * Times according to the upstream.
 */
export interface Timings {
    /**
     * When work on it ended.
     */
    finished_at: null | string;
    /**
     * When work on it began.
     */
    started_at: null | string;
    /**
     * When the task was submitted.
     */
    submitted_at: null | string;
    [property: string]: unknown;
}
