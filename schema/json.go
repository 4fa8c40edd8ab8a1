package schema

import (
	"encoding/json"
	"fmt"
)

// UnmarshalJSON decodes a resource with the body that its address calls for.
func (r *Resource) UnmarshalJSON(data []byte) error {
	type plain Resource
	raw := struct {
		*plain
		Body json.RawMessage `json:"body"`
	}{plain: (*plain)(r)}
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	body, err := NewBody(r.Addr.Type())
	if err != nil {
		return fmt.Errorf("%s: %w", r.Addr, err)
	}
	if err := json.Unmarshal(raw.Body, body); err != nil {
		return fmt.Errorf("%s: %w", r.Addr, err)
	}
	r.Body = body
	return nil
}
