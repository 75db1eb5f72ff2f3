package diagnose

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"pi-key-tools/pkg/sh"
	"pi-key-tools/pkg/strictmodes"
	"pi-key-tools/pkg/unixpath"
)

// keysFiles judges the files that the server reads: the way to them, as
// StrictModes does, or, where that is off, what the user can open; and the
// lines there that hold a key. unless is what could make it read others.
func (in *inside) keysFiles(ctx context.Context, names []string, unless string) error {
	files := in.expand(names)
	stray := in.whereInstalled(files)
	findings, err := in.judgeWay(ctx, files)
	if err != nil {
		return err
	}
	misnamed := slices.ContainsFunc(findings, isMisnamed)

	elsewhere := in.installed == nil && (len(files) == 0 || stray != "" && !misnamed)
	if elsewhere {
		in.elsewhere(files, stray, unless)
		findings = slices.DeleteFunc(findings, func(f strictmodes.Finding) bool { return !unixpath.Within(in.account.Home, f.Path) })
	}
	in.tellFindings(ctx, findings, unless)
	switch {
	case elsewhere, misnamed:
		return nil
	case in.installed == nil && len(in.certs) > 0: // which have been judged
		return nil
	case in.installed == nil:
		return in.absent(ctx, files, findings, unless)
	case in.openSSH(), in.server.IsDropbear():
		for _, key := range in.spokenOf() {
			if err := in.entries(ctx, key); err != nil {
				return err
			}
		}
	}
	return nil
}

// whereInstalled notes which of the files hold a key, and returns another file
// that does; "" for none.
func (in *inside) whereInstalled(files []string) (stray string) {
	keys := in.keys
	if len(in.certs) > 0 && len(in.holders(files, in.spokenOf()[0])) == 0 {
		keys = in.sought() // it is the certificate that should log in
	}
	for _, key := range keys {
		for _, file := range in.holders(files, key) {
			if !slices.Contains(in.installed, file) {
				in.installed = append(in.installed, file)
			}
		}
		if others := in.holders(slices.Sorted(maps.Keys(in.held)), key); stray == "" && len(others) > 0 {
			stray = others[0]
		}
	}
	if in.path != "" && !slices.Contains(files, in.path) {
		stray = in.path
	}
	return stray
}

// judgeWay judges the way to the files that hold a key, or to all of them if none
// does.
func (in *inside) judgeWay(ctx context.Context, files []string) ([]strictmodes.Finding, error) {
	if in.installed != nil {
		files = in.installed
	}
	findings, err := strictmodes.Judge(ctx, in.tree, in.account, files, in.server)
	if err != nil {
		return nil, fmt.Errorf("judging %s: %w", strings.Join(files, ", "), err)
	}
	return slices.DeleteFunc(findings, func(f strictmodes.Finding) bool { return isMisnamed(f) && in.lacksKeys(f.Path) }), nil
}

func isMisnamed(f strictmodes.Finding) bool { return f.Cause == "keys-misnamed" }

// tellFindings tells those of the findings that this server goes by.
func (in *inside) tellFindings(ctx context.Context, findings []strictmodes.Finding, unless string) {
	strict := in.config == nil || !in.config.Is("StrictModes", "no")
	if in.openSSH() || in.server.IsDropbear() {
		unless = ""
	}
	for _, f := range findings {
		if strict || !strings.HasSuffix(f.Cause, "-writable") && f.Cause != "wrong-owner" {
			hint := in.again("pikeyfix")
			switch {
			case f.Repair == strictmodes.Chmod && in.unusual(ctx, f):
				hint = fmt.Sprintf("there: chmod %s %s", strictmodes.Octal(f.Mode), sh.QuoteLine(f.Path))
			case f.Cause == "keys-symlink":
				hint = fmt.Sprintf("there: mv %[1]s %[1]s.aside\nhint: then: %[2]s", sh.QuoteLine(f.Path), in.put("pikeycopy -i -"))
			}
			in.find(unless, f.Cause, f.Path, hint, "%s", f.Detail)
		}
	}
}

// unusual reports whether a finding is of a place that pikeyfix may not know: it
// sees neither the arguments of sshd nor what a Match makes of a connection.
func (in *inside) unusual(ctx context.Context, f strictmodes.Finding) bool {
	if in.config == nil {
		return false
	}
	if _, s := in.config.KeysFiles(in.account.Home, in.account.UID); s.Args == nil {
		return false
	}
	usual, err := strictmodes.Judge(ctx, in.tree, in.account, nil, in.server)
	return err == nil && !slices.ContainsFunc(usual, func(u strictmodes.Finding) bool { return u.Path == f.Path })
}

// lacksKeys reports whether a file was read and holds none of the keys.
func (in *inside) lacksKeys(file string) bool {
	lines, read := in.held[file]
	return read && len(lines) == 0
}
