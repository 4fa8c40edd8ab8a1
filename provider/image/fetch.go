package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/labctl/labctl/provider"
)

// Fetching over http. What has arrived of a file survives a lost connection and an interrupted labctl: the next try
// asks for the rest (RFC 9110, 14.2), on the condition that the file is still the same (13.1.5).
const (
	fetchTries   = 5                // without a byte of progress between them
	stallTime    = 60 * time.Second // with no byte, after which a connection is given up
	progressTime = time.Second      // between two reports
)

// partial is a file on its way into the pool.
type partial struct {
	path      string // of what has arrived; path+".json" says what of
	URL       string `json:"url"`
	Validator string `json:"validator"` // entity tag or date by which the server knows whether the rest still fits
	Total     int64  `json:"total"`     // -1 while it is not known
	have      int64
}

func openPartial(path, url string) (*partial, error) {
	d := &partial{path: path, URL: url, Total: -1}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	if err != nil {
		return nil, err
	}
	var known partial
	text, err := os.ReadFile(path + ".json")
	if err != nil || json.Unmarshal(text, &known) != nil || known.URL != url || known.Validator == "" {
		return d, d.restart()
	}
	d.Validator, d.Total, d.have = known.Validator, known.Total, info.Size()
	return d, nil
}

// restart forgets what has arrived.
func (d *partial) restart() error {
	d.have, d.Total, d.Validator = 0, -1, ""
	for _, path := range []string{d.path + ".json", d.path} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (d *partial) done() bool { return d.Total >= 0 && d.have == d.Total }

// fetch brings a file whole, or says why it cannot. It tries again when the connection breaks.
func (p *Provider) fetch(ctx context.Context, path, url string) error {
	d, err := openPartial(path, url)
	if err != nil {
		return err
	}
	for failed := 0; !d.done(); {
		before := d.have
		err := p.fetchRest(ctx, d)
		if err == nil {
			continue
		}
		if d.have > before {
			failed = 0
		}
		final, isFinal := errors.AsType[*finalError](err)
		if isFinal || ctx.Err() != nil {
			if isFinal {
				err = final.err
			}
			return err
		}
		if failed++; failed == fetchTries {
			return fmt.Errorf("after %d tries: %w", fetchTries, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(p.retryAfter << (failed - 1)):
		}
	}
	return nil
}

// finalError is one that another try cannot mend.
type finalError struct{ err error }

func (e *finalError) Error() string { return e.err.Error() }

// fetchRest makes one request for what is missing.
func (p *Provider) fetchRest(ctx context.Context, d *partial) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(stallTime, func() { cancel(fmt.Errorf("no byte came for %v", stallTime)) })
	defer stalled.Stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.URL, nil)
	if err != nil {
		return &finalError{err}
	}
	request.Header.Set("User-Agent", "labctl")
	request.Header.Set("Accept-Encoding", "identity") // lengths and digests are of the file itself
	if d.have > 0 && d.Validator == "" {              // nothing tells whether the rest is of the same file
		if err := d.restart(); err != nil {
			return &finalError{err}
		}
	}
	if d.have > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", d.have))
		request.Header.Set("If-Range", d.Validator)
	}
	response, err := p.client.Do(request)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return err
	}
	defer response.Body.Close()
	if err := d.begin(response); err != nil {
		return err
	}
	return d.receive(ctx, response.Body, func() { stalled.Reset(stallTime) })
}

// begin makes sense of a response's head: the rest, the whole, or a refusal.
func (d *partial) begin(r *http.Response) error {
	switch {
	case r.StatusCode == http.StatusPartialContent:
		from, total, ok := contentRange(r.Header.Get("Content-Range"))
		if !ok || from != d.have {
			_ = d.restart()
			return fmt.Errorf("the server answered with Content-Range %q to a request from byte %d", r.Header.Get("Content-Range"), d.have)
		}
		d.Total = total
		return nil
	case r.StatusCode == http.StatusOK:
		if err := d.restart(); err != nil {
			return &finalError{err}
		}
		d.Total = r.ContentLength
		if tag := r.Header.Get("ETag"); tag != "" && !strings.HasPrefix(tag, "W/") {
			d.Validator = tag
		} else {
			d.Validator = r.Header.Get("Last-Modified")
		}
		text, err := json.Marshal(d)
		if err != nil {
			return &finalError{err}
		}
		if err := os.WriteFile(d.path+".json", text, 0o600); err != nil {
			return &finalError{err}
		}
		return nil
	case r.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		_ = d.restart()
		return errors.New("the server no longer has as much as it sent before")
	case r.StatusCode >= 500, r.StatusCode == http.StatusTooManyRequests, r.StatusCode == http.StatusRequestTimeout:
		return fmt.Errorf("the server answered %s", r.Status)
	}
	return &finalError{fmt.Errorf("the server answered %s", r.Status)}
}

// contentRange reads `bytes FROM-TO/TOTAL`; a total of * is -1.
func contentRange(text string) (from, total int64, ok bool) {
	text, ok = strings.CutPrefix(text, "bytes ")
	span, size, cut := strings.Cut(text, "/")
	start, _, dash := strings.Cut(span, "-")
	if !ok || !cut || !dash {
		return 0, 0, false
	}
	from, err := strconv.ParseInt(start, 10, 64)
	if err != nil {
		return 0, 0, false
	}
	if size == "*" {
		return from, -1, true
	}
	total, err = strconv.ParseInt(size, 10, 64)
	return from, total, err == nil
}

// receive appends a body to what has arrived, and tells of progress.
func (d *partial) receive(ctx context.Context, body io.Reader, alive func()) error {
	f, err := os.OpenFile(d.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return &finalError{err}
	}
	defer f.Close()
	buffer := make([]byte, 256<<10)
	for told := (time.Time{}); ; {
		n, readErr := body.Read(buffer)
		if n > 0 {
			alive()
			if _, err := f.Write(buffer[:n]); err != nil {
				return &finalError{err}
			}
			d.have += int64(n)
		}
		if time.Since(told) >= progressTime {
			told = time.Now()
			if err := provider.Step(ctx, d.progress()); err != nil {
				return &finalError{err}
			}
		}
		switch {
		case readErr == io.EOF:
			return d.end()
		case readErr != nil:
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			return readErr
		}
	}
}

// end says whether a body that ended was whole.
func (d *partial) end() error {
	switch {
	case d.Total < 0:
		d.Total = d.have // the server did not say how long it is
	case d.have > d.Total:
		err := fmt.Errorf("the server sent more than the %d bytes that it announced", d.Total)
		return errors.Join(err, d.restart())
	case d.have < d.Total:
		return fmt.Errorf("the connection ended after %d of %d bytes", d.have, d.Total)
	}
	return nil
}

func (d *partial) progress() string {
	if d.Total < 0 {
		return fmt.Sprintf("fetch: %.1f MB", float64(d.have)/1e6)
	}
	return fmt.Sprintf("fetch: %.1f of %.1f MB", float64(d.have)/1e6, float64(d.Total)/1e6)
}
