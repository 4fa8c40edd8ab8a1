package provider

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// Fingerprint is a short digest of a body's JSON: 12 hexadecimal digits.
func Fingerprint(body any) string {
	text, err := json.Marshal(body)
	if err != nil {
		panic("provider: a body that is not JSON: " + err.Error()) // bodies are the schema's plain structs
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:6])
}
