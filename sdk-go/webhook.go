package reversehttp

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"reversehttp/schema"
	"reversehttp/schema/webhook"
)

// What a receiver remembers of webhooks that its handler took: the newest, for a day.
const (
	mostTaken = 1_024
	takenTime = 24 * time.Hour
)

// Webhook says whose webhooks are received.
type Webhook struct {
	// Preset is how the sender signs: standard (https://www.standardwebhooks.com, and MCP Events), github, stripe, slack,
	// discord, websub or cloudevents.
	Preset string
	// Secret is as the sender shows it, or was given it: section 14 of schema/README.md has the form of each. For websub
	// it is that of hub.secret, and for cloudevents a bearer token; with these two "" lets anybody in.
	Secret string
	// Topic is that of websub which a hub may subscribe to; "*" is any.
	Topic string
	// Unsubscribe says that a hub may end a subscription of websub.
	Unsubscribe bool
	// Origin is that of cloudevents which may send: the WebHook-Request-Origin. "" is any.
	Origin string
}

// Receive returns a handler that passes on the webhooks of one sender, each once.
//
// A signature is verified over exactly the bytes that came, at most 1 MiB, and the handler reads these. What is not
// signed is 401. A webhook that the handler answered with a status from 200 to 299 is known again for a day, and
// repeats of it are 200 without the handler; one that comes while it is being handled is 409 with Retry-After.
// By whatever a sender asks whether its receiver is there, Receive answers: the challenges of Slack, WebSub,
// CloudEvents and MCP Events, and Discord's PING.
func Receive(of Webhook, handler http.Handler) (http.Handler, error) {
	verify, good := webhook.For(of.Preset, of.Secret)
	switch {
	case verify == nil:
		return nil, errors.New("reversehttp: receive: " + good)
	case of.Secret == "" && of.Preset != "websub" && of.Preset != "cloudevents":
		return nil, errors.New("reversehttp: receive: " + of.Preset + " needs a secret")
	case of.Preset == "websub" && of.Topic == "":
		return nil, errors.New("reversehttp: receive: websub needs a topic")
	}
	return &receiver{Webhook: of, verify: verify, handler: handler, known: make(map[takenKey]bool)}, nil
}

// receiver is the handler that Receive returns.
type receiver struct {
	Webhook
	verify  webhook.Verify
	handler http.Handler

	mu    sync.Mutex
	known map[takenKey]bool // whether the handler took it; guarded by mu
	taken []takenAt         // oldest first; guarded by mu
}

// takenKey stands for an id, however long that is.
type takenKey [16]byte

type takenAt struct {
	key takenKey
	at  time.Time
}

func (v *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		v.confirm(w, r)
		return
	}
	content, err := io.ReadAll(http.MaxBytesReader(w, r.Body, webhook.MostContent))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		refuse(w, http.StatusRequestEntityTooLarge, schema.CodeContentTooLarge, "A webhook has at most 1 MiB of content.")
		return
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, schema.CodeBadRequest, "The content did not come whole.")
		return
	}
	id, why := v.verify(r.Header.Values, content, time.Now())
	if why != "" {
		w.Header().Set("WWW-Authenticate", "Webhook")
		refuse(w, http.StatusUnauthorized, schema.CodeSignatureWrong, "This is not signed as it should be: "+why+".")
		return
	}
	if kind, answer, ok := webhook.Challenge(v.Preset, r.Header.Values, content); ok {
		say(w, kind, answer)
		return
	}
	v.once(w, r, id, content)
}

// once has the handler answer, unless it took the webhook before or has it now.
func (v *receiver) once(w http.ResponseWriter, r *http.Request, id string, content []byte) {
	sum := sha256.Sum256([]byte(id))
	key := takenKey(sum[:16])
	took, known, room := v.begin(key)
	switch {
	case took:
		say(w, "", "")
		return
	case known:
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusConflict, schema.CodeWebhookRunning, "The same webhook is being handled now. Send it again later.")
		return
	case !room:
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusServiceUnavailable, schema.CodeQueueFull, "Too many webhooks are being handled now. Send it again later.")
		return
	}
	answered := &answered{ResponseWriter: w}
	// A handler that panics took nothing.
	defer func() { v.end(key, answered.took) }()
	r = r.Clone(r.Context())
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(content)), int64(len(content))
	v.handler.ServeHTTP(answered, r)
	answered.returned()
}

// begin reports whether the handler took a webhook, whether it is known at all, and whether there is room for one more.
func (v *receiver) begin(key takenKey) (took, known, room bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.forget()
	took, known = v.known[key]
	room = len(v.known)-len(v.taken) < mostTaken
	if !known && room {
		v.known[key] = false
	}
	return took, known, room
}

// end remembers a webhook that the handler took, and forgets another: it may be sent again.
func (v *receiver) end(key takenKey, took bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !took {
		delete(v.known, key)
		return
	}
	v.known[key] = true
	v.taken = append(v.taken, takenAt{key, time.Now()})
	v.forget()
}

// forget forgets those that are too many or too old. The caller holds v.mu.
func (v *receiver) forget() {
	for len(v.taken) > mostTaken || len(v.taken) > 0 && time.Since(v.taken[0].at) >= takenTime {
		delete(v.known, v.taken[0].key)
		v.taken = v.taken[1:]
	}
}

// confirm answers what a sender asks before it sends: by GET for WebSub, by OPTIONS for CloudEvents.
func (v *receiver) confirm(w http.ResponseWriter, r *http.Request) {
	methods := []string{http.MethodPost}
	switch query := r.URL.Query(); {
	case v.Preset == "websub":
		if methods = append(methods, http.MethodGet); r.Method != http.MethodGet {
			break
		}
		mode, challenge := query.Get("hub.mode"), query.Get("hub.challenge")
		if v.Topic != "*" && query.Get("hub.topic") != v.Topic {
			mode = "" // WebSub, 5.3.1: 404 says that it is not what the subscriber wants
		}
		switch {
		case mode == "denied":
			say(w, "", "")
		case challenge != "" && (mode == "subscribe" || mode == "unsubscribe" && v.Unsubscribe):
			say(w, "text/plain; charset=utf-8", challenge)
		default:
			refuse(w, http.StatusNotFound, schema.CodeNotFound, "The subscriber did not ask for this.")
		}
		return
	case v.Preset == "cloudevents":
		if methods = append(methods, http.MethodOptions); r.Method != http.MethodOptions {
			break
		}
		// HTTP 1.1 Web Hooks for Event Delivery, 4.2: without the two fields there is no permission.
		if origin := r.Header.Values("WebHook-Request-Origin"); len(origin) == 1 && (v.Origin == "" || origin[0] == v.Origin) {
			w.Header().Set("WebHook-Allowed-Origin", origin[0])
			w.Header().Set("WebHook-Allowed-Rate", "*")
		}
		w.Header().Set("Allow", strings.Join(methods, ", "))
		say(w, "", "")
		return
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	refuse(w, http.StatusMethodNotAllowed, schema.CodeMethodRefused, "A webhook is sent by POST.")
}

// say answers in place of the handler. What a sender wrote goes back as text that no browser takes for a page.
func say(w http.ResponseWriter, kind, content string) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if kind != "" {
		h.Set("Content-Type", kind)
	}
	h.Set("Content-Length", strconv.Itoa(len(content)))
	_, _ = io.WriteString(w, content) // a sender that left needs no answer
}

// refuse answers with an error of section 8 of schema/README.md.
func refuse(w http.ResponseWriter, status int, code schema.Code, detail string) {
	content, _ := json.Marshal(schema.Problem{Title: http.StatusText(status), Status: status, Code: code, Detail: detail})
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(content) // as in say
}

// answered notes how a handler answers.
type answered struct {
	http.ResponseWriter
	status int
	took   bool
}

func (a *answered) WriteHeader(status int) {
	if a.status == 0 && status >= 200 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answered) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (a *answered) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// returned notes that the handler did not panic. One that wrote nothing answered 200, as under net/http.
func (a *answered) returned() {
	a.took = a.status == 0 || a.status <= 299
}
