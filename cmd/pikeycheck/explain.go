package main

import (
	"fmt"
	"strings"

	"pi-key-tools/pkg/cause"
	"pi-key-tools/pkg/cli"
)

// explain prints what pi-key-causes(7) says of a word.
func explain(env *cli.Env, word string) error {
	e, ok := cause.Lookup(word)
	if !ok {
		var like []string
		for _, e := range cause.All() {
			if strings.Contains(e.Word, word) {
				like = append(like, e.Word)
			}
		}
		hint := "pi-key-causes(7) lists them"
		if word != "" && len(like) > 0 {
			hint = "there is " + strings.Join(like, ", ")
		}
		return cli.WithHint(fmt.Errorf("--explain: no cause is called %q", word), "%s", hint)
	}
	text := fmt.Sprintf("%s\n    %s\n    Known by: %s\n    Example: %s\n", e.Word, e.Meaning, e.Evidence, e.Example)
	if e.Cure != "" {
		text += fmt.Sprintf("    Cure: %s\n", e.Cure)
	}
	env.Print([]byte(text))
	return nil
}
