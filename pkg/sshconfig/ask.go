package sshconfig

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"pi-key-tools/pkg/pattern"
)

// askable returns the ssh that would read the same files as we do; "" if
// there is none.
func (r *Resolver) askable(req Request, here local) string {
	if req.ConfigFile == "" && (r.SystemFile != "" || here.home != here.passwdHome) {
		return ""
	}
	ssh, err := exec.LookPath("ssh")
	if err != nil {
		return ""
	}
	return ssh
}

// ask lets ssh evaluate the request. What it says holds for ssh's own
// environment and passwd's home, and has no sources.
func (r *Resolver) ask(ctx context.Context, ssh string, req Request, e *evaluation) (*evaluation, error) {
	r.trace("%s: asking ssh -G (%s)", req.Host, strings.Join(e.unsure, "; "))
	cmd := exec.CommandContext(ctx, ssh, req.arguments()...)
	endTogether(cmd)
	cmd.WaitDelay = time.Second // for what Match exec may have left running
	var said bytes.Buffer
	cmd.Stderr = &said
	output, err := cmd.Output()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("asking ssh -G: %w", ctx.Err())
	}
	if err != nil {
		if why := strings.TrimSpace(said.String()); why != "" {
			return nil, fmt.Errorf("ssh -G: %s", strings.Join(strings.FieldsFunc(why, isLineEnd), "; "))
		}
		return nil, fmt.Errorf("asking ssh -G: %w", err)
	}
	answer := &evaluation{r: r, local: e.local, alias: e.alias, asked: true}
	if answer.values, err = parseAnswer(output); err != nil {
		return nil, err
	}
	for name, v := range answer.values { // of the same words, ours know the blanks in a path
		if own := e.values[name]; keywords()[name].kind == takesPaths && slices.Equal(strings.Fields(strings.Join(own.args, " ")), v.args) {
			answer.values[name] = value{args: own.args}
		}
	}
	if jump := answer.get("proxyjump", ""); jump != "" {
		if answer.jump, err = parseJump(jump); err != nil {
			return nil, fmt.Errorf("ssh -G: proxyjump: %w", err)
		}
	}
	return answer, nil
}

// arguments are those for which ssh prints what holds for the request.
func (req Request) arguments() []string {
	args := []string{"-T", "-G"}
	if req.ConfigFile != "" {
		args = append(args, "-F", req.ConfigFile)
	}
	for _, option := range req.Options {
		args = append(args, "-o", option)
	}
	if req.User != "" {
		args = append(args, "-l", req.User)
	}
	if req.Port != 0 {
		args = append(args, "-p", strconv.Itoa(req.Port))
	}
	if req.Jump != "" {
		args = append(args, "-J", req.Jump)
	}
	return append(args, "--", req.Host)
}

func isLineEnd(c rune) bool { return c == '\n' || c == '\r' }

// parseAnswer reads what `ssh -G` prints: "keyword value", without quotes. It
// prints defaults, too, which are left out where Host wants to know.
func parseAnswer(output []byte) (map[string]value, error) {
	values := make(map[string]value)
	for line := range bytes.Lines(output) {
		name, text, _ := strings.Cut(strings.TrimRight(string(line), "\r\n"), " ")
		k := keywords()[pattern.Lower(name)]
		if k == nil || !k.decides {
			continue
		}
		v := value{args: []string{text}}
		switch k.kind {
		case takesPath:
			v.args = append(values[k.name].args, text)
		case takesPaths:
			v.args = strings.Fields(text) // a blank in a path cannot be told from one between two: see ask
		case takesChoice:
			choice, ok := k.choices[pattern.Lower(text)]
			if !ok {
				return nil, fmt.Errorf("ssh -G: unknown %s %q", k.name, text)
			}
			v.args[0] = choice
		case takesDuration:
			if text == "none" {
				continue
			}
		case takesAlgorithms:
			if text == strings.Join(k.algorithms.defaults, ",") {
				continue
			}
		}
		values[k.name] = v
	}
	if values["hostname"].args == nil || values["user"].args == nil || values["port"].args == nil {
		return nil, fmt.Errorf("ssh -G: no hostname, user and port in its answer")
	}
	// ssh's own list is the only one in which all of these are.
	identities := values["identityfile"].args
	if !slices.ContainsFunc(defaultIdentityFiles(), func(f string) bool { return !slices.Contains(identities, f) }) {
		delete(values, "identityfile")
	}
	maps.DeleteFunc(values, func(_ string, v value) bool { return len(v.args) == 0 })
	return values, nil
}
