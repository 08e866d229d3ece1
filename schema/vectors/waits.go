package vectors

// Waits is a case of waits.json.
type Waits struct {
	Case
	Steps []struct {
		// Wait begins to wait for a request to this path, for TimeoutMs, or without end if that is
		// zero.
		Wait      string `json:"wait"`
		TimeoutMs int    `json:"timeoutMs"`
		PassMs    int    `json:"passMs"`
		// TimedOut says that the wait ends without a request.
		TimedOut bool            `json:"timedOut"`
		Request  *WebhookRequest `json:"request"`
		// Waited says that the wait ends with this request.
		Waited   bool `json:"waited"`
		Received struct {
			Status int `json:"status"`
		} `json:"received"`
	} `json:"steps"`
}

// Waitings returns the cases of waits.json.
func Waitings() []Waits { return load[Waits]("waits.json") }
