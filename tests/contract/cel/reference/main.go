// Command reference evaluates expressions with cel-go: one JSON object a line in, one a line out.
//
// In: {"expression": text, "event": any, "meta": object}. JSON numbers without `.`, `e` or `E` are ints, others doubles,
// as the projector decodes them; `meta.timestamp` is RFC 3339 text and becomes a timestamp.
// Out: {"value": tagged} or {"error": text}. A tagged value is [type, text or content], so that 1, 1.0 and "1" differ.
//
// Expressions are parsed, not type-checked: which of them are refused beforehand is the projector's own affair, and
// what is compared is what they give.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/env"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/ext"
)

type question struct {
	Expression string         `json:"expression"`
	Event      any            `json:"event"`
	Meta       map[string]any `json:"meta"`
}

type answer struct {
	Value any    `json:"value,omitempty"`
	Error string `json:"error,omitempty"`
}

func main() {
	language, err := newLanguage()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	in := json.NewDecoder(bufio.NewReader(os.Stdin))
	in.UseNumber()
	out := json.NewEncoder(os.Stdout)
	for in.More() {
		var asked question
		if err := in.Decode(&asked); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		value, err := evaluate(language, asked)
		told := answer{Value: value}
		if err != nil {
			told = answer{Error: err.Error()}
		}
		if err := out.Encode(told); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// newLanguage is standard CEL with the strings extension. Two things are exchanged, which CEL leaves open, and the
// projector's way written down here a second time: how string() writes a double, and in which zone a timestamp.
func newLanguage() (*cel.Env, error) {
	without := env.NewLibrarySubset().AddExcludedFunctions(
		&env.Function{Name: "string", Overloads: []*env.Overload{{ID: "double_to_string"}, {ID: "timestamp_to_string"}}})
	return cel.NewCustomEnv(
		cel.StdLib(cel.StdLibSubset(without)),
		ext.Strings(),
		cel.Variable("event", cel.DynType),
		cel.Variable("meta", cel.DynType),
		cel.Function("string", cel.Overload("double_to_short_string", []*cel.Type{cel.DoubleType}, cel.StringType,
			cel.UnaryBinding(func(value ref.Val) ref.Val {
				return types.String(shortest(float64(value.(types.Double))))
			}))),
		cel.Function("string", cel.Overload("timestamp_to_utc_string", []*cel.Type{cel.TimestampType}, cel.StringType,
			cel.UnaryBinding(func(value ref.Val) ref.Val {
				return types.String(value.(types.Timestamp).UTC().Format(time.RFC3339Nano))
			}))),
	)
}

// shortest writes a double without an exponent from 0.0001 up to below 10^16.
func shortest(value float64) string {
	magnitude := math.Abs(value)
	if value == 0 || (magnitude >= 1e-4 && magnitude < 1e16) {
		return strconv.FormatFloat(value, 'f', -1, 64)
	}
	return strconv.FormatFloat(value, 'e', -1, 64)
}

func evaluate(language *cel.Env, asked question) (any, error) {
	tree, issues := language.Parse(asked.Expression)
	if issues.Err() != nil {
		return nil, fmt.Errorf("cannot be read: %w", issues.Err())
	}
	program, err := language.Program(tree)
	if err != nil {
		return nil, err
	}
	event, err := decoded(asked.Event)
	if err != nil {
		return nil, err
	}
	meta, err := metaOf(asked.Meta)
	if err != nil {
		return nil, err
	}
	result, _, err := program.Eval(map[string]any{"event": event, "meta": meta})
	if err != nil {
		return nil, err
	}
	return tagged(result)
}

func metaOf(fields map[string]any) (any, error) {
	meta, err := decoded(fields)
	if err != nil {
		return nil, err
	}
	content := meta.(map[string]any)
	if text, found := content["timestamp"].(string); found {
		content["timestamp"], err = time.Parse(time.RFC3339Nano, text)
	}
	return content, err
}

// decoded turns JSON numbers into int64 and float64 by how they are written.
func decoded(value any) (any, error) {
	switch content := value.(type) {
	case json.Number:
		if strings.ContainsAny(content.String(), ".eE") {
			return content.Float64()
		}
		return content.Int64()
	case []any:
		items := make([]any, len(content))
		for i, item := range content {
			var err error
			if items[i], err = decoded(item); err != nil {
				return nil, err
			}
		}
		return items, nil
	case map[string]any:
		fields := make(map[string]any, len(content))
		for name, field := range content {
			var err error
			if fields[name], err = decoded(field); err != nil {
				return nil, err
			}
		}
		return fields, nil
	default:
		return value, nil
	}
}

func tagged(value ref.Val) (any, error) {
	switch content := value.(type) {
	case types.Int:
		return []any{"int", strconv.FormatInt(int64(content), 10)}, nil
	case types.Double:
		return []any{"double", double(float64(content))}, nil
	case types.String:
		return []any{"text", string(content)}, nil
	case types.Bool:
		return []any{"bool", strconv.FormatBool(bool(content))}, nil
	case types.Null:
		return []any{"null", ""}, nil
	case types.Timestamp:
		return []any{"timestamp", strconv.FormatInt(content.UnixMicro(), 10)}, nil
	case types.Duration:
		return []any{"duration", strconv.FormatInt(content.Microseconds(), 10)}, nil
	case traits.Lister:
		return list(content)
	case traits.Mapper:
		return object(content)
	default:
		return nil, fmt.Errorf("a value of type %s", value.Type())
	}
}

// double is the value's bits in hex, so that -0.0 and 0.0 differ; one NaN is as good as another.
func double(value float64) string {
	if math.IsNaN(value) {
		return "nan"
	}
	return strconv.FormatUint(math.Float64bits(value), 16)
}

func list(items traits.Lister) (any, error) {
	content := []any{}
	for step := items.Iterator(); step.HasNext() == types.True; {
		item, err := tagged(step.Next())
		if err != nil {
			return nil, err
		}
		content = append(content, item)
	}
	return []any{"list", content}, nil
}

func object(fields traits.Mapper) (any, error) {
	content := map[string]any{}
	for step := fields.Iterator(); step.HasNext() == types.True; {
		name := step.Next()
		field, err := tagged(fields.Get(name))
		if err != nil {
			return nil, err
		}
		content[string(name.(types.String))] = field
	}
	return []any{"object", content}, nil
}
