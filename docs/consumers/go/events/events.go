package events

// `data` of the events that end a chat. Unknown is null, never absent.
type ChatData struct {
	// Of the answer's body; null after a restart of the relay.
	Bytes *int64 `json:"bytes"`
	// The relay's id of the chat.
	ChatID string `json:"chat_id"`
	// The answers, put together, in the order of their index.
	Choices []Choice `json:"choices"`
	// Chunk objects that the upstream sent; 0 if it did not stream.
	Chunks int64 `json:"chunks"`
	// The name under `proxy.clients`; null for an unnamed client.
	Client *string `json:"client"`
	// The upstream's id of the answer.
	CompletionID *string `json:"completion_id"`
	// What the upstream said went wrong; else null.
	Error *UpstreamError `json:"error"`
	// Chunks that are in no chunk event, or could not be read.
	Gaps int64 `json:"gaps"`
	// The upstream's status; null if it gave no answer.
	HTTPStatus *int64 `json:"http_status"`
	// As the upstream names it, else as it was asked for.
	Model *string `json:"model"`
	// How it ended.
	Outcome Outcome `json:"outcome"`
	// Why; null for an ordinary completion.
	Reason *Reason `json:"reason"`
	// What was asked; null where `capture.request` is `none`.
	Request *RequestData `json:"request"`
	Timings ChatTimings  `json:"timings"`
	// Whether texts in `choices` are cut, for size.
	Truncated bool `json:"truncated"`
	// As the upstream gave it, keys and all.
	Usage map[string]interface{} `json:"usage"`
	// Whether the upstream gave `usage`.
	UsageSource UsageSource `json:"usage_source"`
}

// One answer of the model, put together from its deltas.
type Choice struct {
	// The pieces joined; null if there was none, or not captured.
	Content *string `json:"content"`
	// The upstream's word: `stop`, `length`, `tool_calls`, ...
	FinishReason *string `json:"finish_reason"`
	// Its place among the choices, as the upstream counts them.
	Index int64 `json:"index"`
	// The reasoning, from `reasoning_content`, `reasoning` or `reasoning_details`.
	ReasoningContent *string `json:"reasoning_content"`
	// As given; usually `assistant`.
	Role *string `json:"role"`
	// In the order of their index.
	ToolCalls []ToolCall `json:"tool_calls"`
}

// One tool call of the model.
type ToolCall struct {
	Function Function `json:"function"`
	// The upstream's id of the call.
	ID *string `json:"id"`
	// Its place among the choice's calls, as the upstream counts them.
	Index int64 `json:"index"`
	// `function`.
	Type *string `json:"type"`
}

// The function that the model calls.
type Function struct {
	// The pieces joined: JSON text, if the model wrote JSON.
	Arguments *string `json:"arguments"`
	// Its name.
	Name *string `json:"name"`
}

// The error that the upstream reported, in any of its formats.
type UpstreamError struct {
	// The upstream's code as text, such as `503`.
	Code *string `json:"code"`
	// For people; at most 500 characters; null where content is not captured.
	Message *string `json:"message"`
	// The upstream's type or reason, such as `RATE_LIMIT_EXCEEDED`.
	Type *string `json:"type"`
}

// What the client requested, as far as `capture.request` allows it.
type RequestData struct {
	// Size of the request's body.
	Bytes int64 `json:"bytes"`
	// As sent; null unless `capture.request` is `full`, or above 256 KiB.
	Messages []interface{} `json:"messages"`
	// Messages in the request.
	MessagesCount *int64 `json:"messages_count"`
	// Numbers, switches and known words such as `temperature`; no texts.
	Parameters map[string]interface{} `json:"parameters"`
	// As sent; null as `messages` is.
	Tools []interface{} `json:"tools"`
	// Tools offered to the model; 0 without any.
	ToolsCount *int64 `json:"tools_count"`
}

// When things happened, in whole milliseconds after `started_at`.
type ChatTimings struct {
	// To the end; null after a restart of the relay.
	DurationMS *int64 `json:"duration_ms"`
	// To the first byte of the answer's body.
	FirstByteMS *int64 `json:"first_byte_ms"`
	// To the first content, reasoning or tool call of a stream.
	FirstTokenMS *int64 `json:"first_token_ms"`
	// When the request was received.
	StartedAt string `json:"started_at"`
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
	// The upstream's task result with unknown fields, secrets and prompts redacted; can be off.
	Raw map[string]interface{} `json:"raw"`
	// Why it failed, in the upstream's words, or why it was abandoned: one of the relay's codes.
	Reason *string `json:"reason"`
	// When relay observed it.
	ReceivedAt string `json:"received_at"`
	// Digits as text: seeds outgrow the integers of many readers.
	Seed *string `json:"seed"`
	// The relay's word for the state of the task.
	Status Status `json:"status"`
	// The upstream's id; opaque.
	TaskID string `json:"task_id"`
	// The upstream's name of the type, an open set; of a submitted task its endpoint's name.
	TaskType *string `json:"task_type"`
	// Whether it is a mock event (webhook test mode); null when the upstream did not say.
	Test *bool `json:"test"`
	// The upstream's own times.
	Timings Timings `json:"timings"`
	// The upstream's word, such as `TASK_STATUS_SUCCEED`.
	UpstreamStatus *string `json:"upstream_status"`
}

// One generated file.
type Output struct {
	// When the URL dies: from its signature, else receipt plus `ttl_seconds`, else unknown.
	ExpiresAt *string `json:"expires_at"`
	// The upstream's type of the file, such as `jpeg`, `mp4`, `wav`.
	Format *string `json:"format"`
	// Taken from the array that held it, not from the name of the task's type.
	Kind Kind `json:"kind"`
	// The upstream's metadata of this file; for audio `text`, `start_time`, `end_time` (s).
	Metadata map[string]interface{} `json:"metadata"`
	// The upstream's NSFW verdict; null where it gave none.
	Nsfw *Nsfw `json:"nsfw"`
	// Life of the URL in seconds, counted by the upstream; its 0 means unknown, so null.
	TTLSeconds *float64 `json:"ttl_seconds"`
	// Where to fetch it, as given; often presigned for about an hour.
	URL *string `json:"url"`
}

// The upstream's verdict on one output, as far as it gave one.
type Nsfw struct {
	// The upstream's confidence in it, in the upstream's scale.
	Confidence *float64 `json:"confidence"`
	// The upstream's `valid` flag.
	Valid *bool `json:"valid"`
}

// The upstream's own times.
//
// When the upstream says that things happened.
type Timings struct {
	// Work on it ended.
	FinishedAt *string `json:"finished_at"`
	// Work on it began.
	StartedAt *string `json:"started_at"`
	// The task was submitted.
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

// Whether the upstream gave `usage`.
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

// Taken from the array that held it, not from the name of the task's type.
type Kind string

const (
	Audio Kind = "audio"
	Image Kind = "image"
	Video Kind = "video"
)

// The relay's word for the state of the task.
type Status string

const (
	Abandoned    Status = "abandoned"
	Running      Status = "running"
	StatusFailed Status = "failed"
	Submitted    Status = "submitted"
	Succeeded    Status = "succeeded"
)
