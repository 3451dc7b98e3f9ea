package events

// `data` of the events that end a chat. Unknown is null, never absent.
type ChatData struct {
	// The API that was called: `chat_completions`, `completions`, `responses` or `messages`;
	// null if the chat's beginning is no longer retained.
	API *string `json:"api"`
	// Size of the answer's body; null if relay was restarted.
	Bytes *int64 `json:"bytes"`
	// relay's id of the chat.
	ChatID string `json:"chat_id"`
	// The assembled answers, sorted by index.
	Choices []Choice `json:"choices"`
	// Number of chunk objects from the upstream; 0 if not streamed.
	Chunks int64 `json:"chunks"`
	// The name under `proxy.clients`; null for an unnamed client.
	Client *string `json:"client"`
	// The upstream's id of the answer.
	CompletionID *string `json:"completion_id"`
	// The upstream's error, if it reported one.
	Error *UpstreamError `json:"error"`
	// Number of chunks that are in no chunk event, or could not be read.
	Gaps int64 `json:"gaps"`
	// The upstream's status; null if it gave no answer.
	HTTPStatus *int64 `json:"http_status"`
	// As the upstream names it, else as it was requested.
	Model *string `json:"model"`
	// How it ended.
	Outcome Outcome `json:"outcome"`
	// Why; null for an ordinary completion.
	Reason *Reason `json:"reason"`
	// The request; null if `capture.request` is `none`.
	Request *RequestData `json:"request"`
	Timings ChatTimings  `json:"timings"`
	// What `usage` says, in the same words for every API.
	Tokens Tokens `json:"tokens"`
	// Whether texts in `choices` were cut to keep the event small.
	Truncated bool `json:"truncated"`
	// As the upstream reported it, with all its keys.
	Usage map[string]interface{} `json:"usage"`
	// Whether the upstream reported `usage`.
	UsageSource UsageSource `json:"usage_source"`
}

// One answer of the model, put together from its deltas.
type Choice struct {
	// The joined pieces; null if there were none, or if not captured.
	Content *string `json:"content"`
	// As reported: `stop`, `length`, `tool_calls`, ...
	FinishReason *string `json:"finish_reason"`
	// Its position among the choices, as the upstream numbers them.
	Index int64 `json:"index"`
	// The reasoning, from `reasoning_content`, `reasoning` or `reasoning_details`.
	ReasoningContent *string `json:"reasoning_content"`
	// As given; usually `assistant`.
	Role *string `json:"role"`
	// Sorted by index.
	ToolCalls []ToolCall `json:"tool_calls"`
}

// One tool call of the model.
type ToolCall struct {
	Function Function `json:"function"`
	// The upstream's id of the call.
	ID *string `json:"id"`
	// Its position among the choice's calls, as the upstream numbers them.
	Index int64 `json:"index"`
	// `function`.
	Type *string `json:"type"`
}

// The function that the model calls.
type Function struct {
	// The joined pieces: JSON as text, if it is valid.
	Arguments *string `json:"arguments"`
	// Its name.
	Name *string `json:"name"`
}

// The error that the upstream reported, in any of its formats.
type UpstreamError struct {
	// The upstream's code as text, such as `503`.
	Code *string `json:"code"`
	// For people; at most 500 characters; null if content is not captured.
	Message *string `json:"message"`
	// The upstream's type or reason, such as `RATE_LIMIT_EXCEEDED`.
	Type *string `json:"type"`
}

// What the client requested, as far as `capture.request` allows it.
type RequestData struct {
	// Size of the request's body.
	Bytes int64 `json:"bytes"`
	// `messages`, `input` or `prompt` as sent; null if larger than 256 KiB together with
	// `system` and `tools`, or unless `capture.request` is `full`.
	Messages *Messages `json:"messages"`
	// Number of messages in the request; a text counts as one.
	MessagesCount *int64 `json:"messages_count"`
	// Numbers, booleans and known words, such as `temperature`; no free text.
	Parameters map[string]interface{} `json:"parameters"`
	// `system` or `instructions` as sent, where the API has them; null in the same cases.
	System *Messages `json:"system"`
	// As sent; null in the same cases as `messages`.
	Tools []interface{} `json:"tools"`
	// Number of tools offered to the model.
	ToolsCount *int64 `json:"tools_count"`
}

// When things happened, in whole milliseconds after `started_at`.
type ChatTimings struct {
	// To the end; null if relay was restarted.
	DurationMS *int64 `json:"duration_ms"`
	// To the first byte of the answer's body.
	FirstByteMS *int64 `json:"first_byte_ms"`
	// To the first content, reasoning or tool call of a stream.
	FirstTokenMS *int64 `json:"first_token_ms"`
	// When the request was received.
	StartedAt string `json:"started_at"`
}

// What `usage` says, in the same words for every API.
//
// Numbers of tokens; null where the upstream does not say.
type Tokens struct {
	// Of the input: those written into a cache.
	CacheWritten *int64 `json:"cache_written"`
	// Of the input: those read from a cache.
	Cached *int64 `json:"cached"`
	// Read, those from and into a cache included.
	Input *int64 `json:"input"`
	// Generated, reasoning included.
	Output *int64 `json:"output"`
	// Of the output: those of the reasoning.
	Reasoning *int64 `json:"reasoning"`
}

// “data“ of the events `relay.task.*`. Unknown is null, never absent.
type TaskData struct {
	// Expected time to the end, in seconds, as reported.
	EtaSeconds *float64 `json:"eta_seconds"`
	// How relay observed it.
	ObservedVia ObservedVia `json:"observed_via"`
	// Images, then videos, then audios, each in upstream order.
	Outputs []Output `json:"outputs"`
	// As reported; 0 is normal for an image that succeeded.
	ProgressPercent *float64 `json:"progress_percent"`
	// The upstream's whole result, secrets and prompts redacted; null if `tasks.raw` is off.
	Raw map[string]interface{} `json:"raw"`
	// Why it failed, in the upstream's words; or why it was abandoned, as one of relay's codes.
	Reason *string `json:"reason"`
	// When relay observed it.
	ReceivedAt string `json:"received_at"`
	// Digits as text: seeds exceed the integers of many JSON parsers.
	Seed *string `json:"seed"`
	// The state of the task, as relay names it.
	Status Status `json:"status"`
	// The upstream's id; opaque.
	TaskID string `json:"task_id"`
	// The upstream's name of the type, an open set; the endpoint's name for a submitted task.
	TaskType *string `json:"task_type"`
	// Whether it is a mock event (webhook test mode); null if the upstream did not say.
	Test *bool `json:"test"`
	// The upstream's own times.
	Timings Timings `json:"timings"`
	// The state as reported: `TASK_STATUS_SUCCEED`, ...
	UpstreamStatus *string `json:"upstream_status"`
}

// One generated file.
type Output struct {
	// When the URL expires: by its signature, else `ttl_seconds` after receipt, else unknown.
	ExpiresAt *string `json:"expires_at"`
	// The file type as reported, such as `jpeg`, `mp4`, `wav`.
	Format *string `json:"format"`
	// From the array that contained it, not from the task's type.
	Kind Kind `json:"kind"`
	// The upstream's metadata for this file; for audio `text`, `start_time`, `end_time` (s).
	Metadata map[string]interface{} `json:"metadata"`
	// The upstream's NSFW verdict; null if it gave none.
	Nsfw *Nsfw `json:"nsfw"`
	// How long the URL is valid, in seconds, as reported; null if unknown (reported as 0).
	TTLSeconds *float64 `json:"ttl_seconds"`
	// Where to fetch it, as given; often presigned for about an hour.
	URL *string `json:"url"`
}

// The upstream's verdict on one output.
type Nsfw struct {
	// The upstream's confidence in it, on its own scale.
	Confidence *float64 `json:"confidence"`
	// The upstream's `valid` flag.
	Valid *bool `json:"valid"`
}

// The upstream's own times.
//
// Times according to the upstream.
type Timings struct {
	// When work on it ended.
	FinishedAt *string `json:"finished_at"`
	// When work on it began.
	StartedAt *string `json:"started_at"`
	// When the task was submitted.
	SubmittedAt *string `json:"submitted_at"`
}

// How it ended.
type Outcome string

const (
	Cancelled     Outcome = "cancelled"
	Completed     Outcome = "completed"
	OutcomeFailed Outcome = "failed"
)

type Reason string

const (
	ClientGone          Reason = "client_gone"
	Empty               Reason = "empty"
	ErrorStatus         Reason = "error_status"
	NotJSON             Reason = "not_json"
	ReasonUpstreamError Reason = "upstream_error"
	RelayRestarted      Reason = "relay_restarted"
	RelayShutdown       Reason = "relay_shutdown"
	SlowClient          Reason = "slow_client"
	Truncated           Reason = "truncated"
	UpstreamReset       Reason = "upstream_reset"
	UpstreamTimeout     Reason = "upstream_timeout"
	UpstreamUnreachable Reason = "upstream_unreachable"
)

// Whether the upstream reported `usage`.
type UsageSource string

const (
	Absent   UsageSource = "absent"
	Reported UsageSource = "reported"
)

// How relay observed it.
type ObservedVia string

const (
	Poll    ObservedVia = "poll"
	Submit  ObservedVia = "submit"
	Webhook ObservedVia = "webhook"
)

// From the array that contained it, not from the task's type.
type Kind string

const (
	Audio Kind = "audio"
	Image Kind = "image"
	Video Kind = "video"
)

// The state of the task, as relay names it.
type Status string

const (
	Abandoned    Status = "abandoned"
	Running      Status = "running"
	StatusFailed Status = "failed"
	Submitted    Status = "submitted"
	Succeeded    Status = "succeeded"
)

type Messages struct {
	AnythingArray []interface{}
	String        *string
}
