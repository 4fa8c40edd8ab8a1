package session

import (
	"cmp"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/labctl/labctl/internal/probe"
)

// hidden is what stands in place of a secret.
const hidden = "(sensitive value)"

// shortest is the length of the shortest secret that is looked for in all that is written: shorter ones are in any text by
// chance.
const shortest = 6

// veil takes the secrets of a lab out of text. What labctl itself shows of a sensitive argument is hidden where it is made; this is
// for the words of others, which may hold anything: errors of tools, output of checks, rules as they are live.
type veil struct {
	mutex    sync.Mutex
	replacer *strings.Replacer // nil while there is nothing to hide
}

// hide adds secrets: whole texts, in each form that they may stand in somewhere.
func (v *veil) hide(secrets []string) {
	var forms []string
	for _, secret := range secrets {
		if secret = strings.TrimSpace(secret); len(secret) >= shortest {
			forms = append(forms, formsOf(secret)...)
		}
	}
	if len(forms) == 0 {
		return
	}
	slices.SortFunc(forms, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	var pairs []string
	for _, form := range slices.Compact(forms) { // of two that begin alike, the replacer takes the first
		pairs = append(pairs, form, hidden)
	}
	v.mutex.Lock()
	defer v.mutex.Unlock()
	v.replacer = strings.NewReplacer(pairs...)
}

// formsOf is a text as it is, and as it stands in JSON, XML and HCL.
func formsOf(text string) []string {
	forms := []string{text}
	quoted := strconv.Quote(text)
	forms = append(forms, quoted[1:len(quoted)-1])
	if data, err := json.Marshal(text); err == nil {
		forms = append(forms, string(data[1:len(data)-1]))
	}
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if encoder.Encode(text) == nil {
		forms = append(forms, strings.Trim(strings.TrimSpace(b.String()), `"`))
	}
	b.Reset()
	if xml.EscapeText(&b, []byte(text)) == nil {
		forms = append(forms, b.String())
	}
	return forms
}

// text is s without secrets.
func (v *veil) text(s string) string {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	if v.replacer == nil {
		return s
	}
	return v.replacer.Replace(s)
}

// veiled is a stream on which no secret is shown.
type veiled struct {
	io.Writer
	veil *veil
}

// Write implements io.Writer. Whoever writes does so in whole lines or more, so that no secret is cut in two.
func (w *veiled) Write(data []byte) (int, error) {
	text := w.veil.text(string(data))
	if _, err := io.WriteString(w.Writer, text); err != nil {
		return 0, err
	}
	return len(data), nil
}

// Bare is the stream behind one on which no secret is shown: for what a person asked for by its name, and for what is not text.
func Bare(w io.Writer) io.Writer {
	if v, ok := w.(*veiled); ok {
		return v.Writer
	}
	return w
}

// Veil is an error without the secrets of the labs that were read. An ExitError keeps its code.
func (o *Options) Veil(err error) error {
	if err == nil || o.veil == nil {
		return err
	}
	if exit, ok := errors.AsType[ExitError](err); ok {
		if exit.Err != nil {
			exit.Err = o.Veil(exit.Err)
		}
		return exit
	}
	if text := o.veil.text(err.Error()); text != err.Error() {
		return errors.New(text)
	}
	return err
}

// Hide is text without the secrets of the lab.
func (s *Session) Hide(text string) string { return s.Options.veil.text(text) }

// HideIn takes the secrets of the lab out of the result of a check.
func (s *Session) HideIn(r *probe.Result) {
	for _, text := range []*string{&r.Subject, &r.Expect, &r.Got, &r.Detail, &r.Error} {
		*text = s.Hide(*text)
	}
	lists := [][]string{r.Why}
	if e := r.Explanation; e != nil {
		lists = append(lists, e.Path, e.Back, e.Rules, e.Rose, e.Flows, e.Mend)
	}
	for _, list := range lists {
		for i := range list {
			list[i] = s.Hide(list[i])
		}
	}
}
