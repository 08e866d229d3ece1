package acme

import (
	"context"
	"log/slog"

	"go.uber.org/zap/zapcore"
)

// core sends logs of certmagic to a [slog.Logger], each one level lower: its steps matter for
// debugging only, and this package itself logs certificates that were obtained or not.
type core struct{ log *slog.Logger }

func lowered(l zapcore.Level) slog.Level {
	switch {
	case l >= zapcore.ErrorLevel:
		return slog.LevelWarn
	case l == zapcore.WarnLevel:
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

// Enabled implements [zapcore.Core].
func (c core) Enabled(l zapcore.Level) bool {
	return l > zapcore.DebugLevel && c.log.Enabled(context.Background(), lowered(l))
}

// With implements [zapcore.Core].
func (c core) With(fields []zapcore.Field) zapcore.Core { return core{c.log.With(attrs(fields)...)} }

// Check implements [zapcore.Core].
func (c core) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return to.AddCore(e, c)
	}
	return to
}

// Write implements [zapcore.Core].
func (c core) Write(e zapcore.Entry, fields []zapcore.Field) error {
	c.log.Log(context.Background(), lowered(e.Level), "acme: "+e.Message, attrs(fields)...)
	return nil
}

// Sync implements [zapcore.Core].
func (core) Sync() error { return nil }

func attrs(fields []zapcore.Field) (all []any) {
	encoder := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(encoder)
		all = append(all, f.Key, encoder.Fields[f.Key])
	}
	return all
}
