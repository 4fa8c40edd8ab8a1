package provider

import "context"

type stepKey struct{}

// WithSteps gives ctx a function that hears of each step that an Apply takes, before it is taken. A function that returns
// an error stops the Apply there: so progress is shown, and so tests stop or kill labctl between any two steps.
func WithSteps(ctx context.Context, hear func(stage string) error) context.Context {
	return context.WithValue(ctx, stepKey{}, hear)
}

// Step says what an Apply does next, in a few words ("define", "wait for agent"). The provider returns its error at once.
// It fails where ctx is done, so that an interrupted Apply stops between steps and not in one.
func Step(ctx context.Context, stage string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if hear, ok := ctx.Value(stepKey{}).(func(string) error); ok {
		return hear(stage)
	}
	return nil
}
