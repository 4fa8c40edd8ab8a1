package view

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/labctl/labctl/internal/plan"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// DocumentVersion is the version of Terraform's plan format that a Document keeps to
// (https://developer.hashicorp.com/terraform/internals/json-format).
const DocumentVersion = "1.2"

// Document is a whole plan in the form of Terraform's `show -json`, as far as that fits, so that policy tools made for it
// read it. What only labctl says is under "labctl": the plan as it is shown, and in each change its effect.
type Document struct {
	FormatVersion   string           `json:"format_version"`
	LabctlVersion   string           `json:"labctl_version"`
	PlannedValues   values           `json:"planned_values"`
	ResourceDrift   []resourceChange `json:"resource_drift,omitempty"`
	ResourceChanges []resourceChange `json:"resource_changes"`
	PriorState      *priorState      `json:"prior_state,omitempty"`
	Timestamp       string           `json:"timestamp"` // RFC 3339
	Applyable       bool             `json:"applyable"`
	Complete        bool             `json:"complete"` // everything declared could be read
	Errored         bool             `json:"errored"`
	Labctl          Doc              `json:"labctl"`
}

type values struct {
	Outputs    map[string]output `json:"outputs,omitempty"`
	RootModule module            `json:"root_module"`
}

type output struct {
	Sensitive bool `json:"sensitive"`
	Value     any  `json:"value,omitempty"`
}

type module struct {
	Address   string     `json:"address,omitempty"`
	Resources []resource `json:"resources,omitempty"`
	Children  []module   `json:"child_modules,omitempty"`
}

type priorState struct {
	FormatVersion string `json:"format_version"`
	Values        values `json:"values"`
}

// identity is what names a resource in Terraform's form.
type identity struct {
	Address       string `json:"address"`
	ModuleAddress string `json:"module_address,omitempty"`
	Mode          string `json:"mode"` // always "managed"
	Type          string `json:"type"` // "vm", "vm_guest", "host_sysctl", …
	Name          string `json:"name"`
	Index         any    `json:"index,omitempty"`
	ProviderName  string `json:"provider_name"`
}

type resource struct {
	identity
	SchemaVersion   int `json:"schema_version"`
	Values          any `json:"values"`
	SensitiveValues any `json:"sensitive_values"`
}

type resourceChange struct {
	identity
	PreviousAddress string      `json:"previous_address,omitempty"`
	Change          beforeAfter `json:"change"`
	ActionReason    string      `json:"action_reason,omitempty"`
	Labctl          *Change     `json:"labctl,omitempty"`
}

// beforeAfter is a value before and after.
type beforeAfter struct {
	Actions         []string   `json:"actions"`
	Before          any        `json:"before"`
	After           any        `json:"after"`
	AfterUnknown    any        `json:"after_unknown"`
	BeforeSensitive any        `json:"before_sensitive"`
	AfterSensitive  any        `json:"after_sensitive"`
	ReplacePaths    [][]string `json:"replace_paths,omitempty"`
	Importing       *importing `json:"importing,omitempty"`
}

type importing struct {
	ID string `json:"id"`
}

// NewDocument makes a plan, fresh or saved, into a Document.
func NewDocument(p *plan.Plan, labctl string, now time.Time) Document {
	doc := Document{
		FormatVersion: DocumentVersion, LabctlVersion: labctl, Timestamp: now.UTC().Format(time.RFC3339),
		Applyable: len(p.Errors) == 0 && !p.Empty() && !p.Options.RefreshOnly, Complete: len(p.Unplanned) == 0,
		Errored: len(p.Errors) > 0, Labctl: Describe(p), ResourceChanges: []resourceChange{},
	}
	d := indexOf(p)
	var planned, prior []placed
	for n := range p.Items {
		item := &p.Items[n]
		change := d.documented(item)
		if item.Drift {
			doc.ResourceDrift = append(doc.ResourceDrift, change)
		}
		doc.ResourceChanges = append(doc.ResourceChanges, change)
		if change.Change.After != nil {
			planned = append(planned, placed{item.Addr.Module, resource{change.identity, 0, change.Change.After, change.Change.AfterSensitive}})
		}
		if s, was := d.seen[item.Addr]; was && s.Body != nil {
			prior = append(prior, placed{item.Addr.Module, resource{change.identity, 0, s.Body, change.Change.BeforeSensitive}})
		}
	}
	doc.PlannedValues = values{RootModule: modules(planned)}
	if len(p.Lab.Outputs) > 0 && !p.Options.Destroy {
		doc.PlannedValues.Outputs = map[string]output{}
		for _, o := range p.Lab.Outputs {
			shown := output{Sensitive: o.Sensitive, Value: o.Value}
			if o.Sensitive {
				shown.Value = nil
			}
			doc.PlannedValues.Outputs[o.Name] = shown
		}
	}
	if len(prior) > 0 {
		doc.PriorState = &priorState{FormatVersion: "1.0", Values: values{RootModule: modules(prior)}}
	}
	return doc
}

func (d index) documented(item *plan.Item) resourceChange {
	declared := d.want(item)
	c := resourceChange{identity: identityOf(item.Addr), ActionReason: reason(item), Change: beforeAfter{
		Actions: actions(item.Action), AfterUnknown: map[string]any{},
		BeforeSensitive: sensitive(declared.Sensitive), AfterSensitive: sensitive(declared.Sensitive),
	}}
	if s, was := d.seen[item.Addr]; was {
		c.Change.Before = s.Body
		if s.Body == nil {
			c.Change.Before = map[string]any{"id": s.ID} // nobody can say what of it is sensitive
		}
	}
	if item.Action != provider.Delete && item.Action != provider.Forget && declared.Body != nil {
		c.Change.After = provider.WithoutPaths(declared.Body, declared.Sensitive)
	}
	if item.From != (schema.Addr{}) {
		c.PreviousAddress = item.From.String()
	}
	if item.ImportID != "" {
		c.Change.Importing = &importing{item.ImportID}
	}
	for _, detail := range item.Details {
		if detail.Effect == provider.OnReplace {
			c.Change.ReplacePaths = append(c.Change.ReplacePaths, provider.SplitPath(detail.Path))
		}
	}
	if item.Changes() {
		shown := d.change(item)
		c.Labctl = &shown
	}
	return c
}

func identityOf(addr schema.Addr) identity {
	id := identity{
		Address: addr.String(), ModuleAddress: addr.Module, Mode: "managed", Type: strings.ReplaceAll(addr.Type(), ".", "_"),
		Name: addr.Name, ProviderName: "labctl.dev/labctl/" + strings.ReplaceAll(addr.Type(), ".", "_"),
	}
	if addr.Key != "" {
		// a key is written as in the language: a number, or a quoted string that JSON reads too
		if err := json.Unmarshal([]byte(addr.Key), &id.Index); err != nil {
			id.Index = addr.Key
		}
	}
	return id
}

func actions(a provider.Action) []string {
	switch a {
	case provider.Replace:
		return []string{"delete", "create"}
	case provider.Restart:
		return []string{"update"}
	case provider.Verify:
		return []string{"read"}
	}
	return []string{string(a)}
}

func reason(item *plan.Item) string {
	switch {
	case item.Action == provider.Delete:
		return "delete_because_no_resource_config"
	case item.Action != provider.Replace:
		return ""
	case provider.Worst(item.Details) == provider.OnReplace:
		return "replace_because_cannot_update"
	case strings.HasPrefix(item.Why, "replace_triggered_by"):
		return "replace_by_triggers"
	}
	return "replace_by_request"
}

// sensitive is Terraform's way to name what is left out: true for the whole, or an object with true at each attribute.
func sensitive(paths []string) any {
	object := map[string]any{}
	for _, path := range paths {
		if path == "all" {
			return true
		}
		object[provider.SplitPath(path)[0]] = true
	}
	return object
}

type placed struct {
	module string
	resource
}

// modules puts resources into their modules, in order of their first resource. Terraform nests modules; the address of
// each says where it is, so one level is enough for what reads it.
func modules(list []placed) module {
	var root module
	at := map[string]int{}
	for _, p := range list {
		if p.module == "" {
			root.Resources = append(root.Resources, p.resource)
			continue
		}
		n, known := at[p.module]
		if !known {
			n = len(root.Children)
			at[p.module] = n
			root.Children = append(root.Children, module{Address: p.module})
		}
		root.Children[n].Resources = append(root.Children[n].Resources, p.resource)
	}
	return root
}
