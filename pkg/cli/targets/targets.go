// Package targets is what the three commands that work on targets share: their
// options, the loop over operands and host lists, and the records of it.
package targets

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"pi-key-tools/pkg/cli"
	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/destination"
	"pi-key-tools/pkg/diagnose"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/secret"
	"pi-key-tools/pkg/sshconfig"
)

// Options are those of ssh, and of working on many targets.
type Options struct {
	Hosts     string
	Jobs      int
	KeepOrder bool
	Wait      time.Duration // how long a target may take to be up; 0: not at all
	Passwords string        // the file of --passwords; "" for none
	Connect   connect.Options
	// Pass reports of a record in the list whether there is nothing to do about
	// it here: it is then emitted as it came, so that the records that leave say
	// of every target what those that came did. nil passes none.
	Pass func(record.Record) bool
	// Emit takes the records; nil for the standard output of the command.
	Emit func(record.Record)

	flags *pflag.FlagSet
}

// elsewhere are letters of ssh(1).
var elsewhere = map[string]string{
	"4": "-o AddressFamily=inet",
	"6": "-o AddressFamily=inet6",
	"B": "-o BindInterface=NAME",
	"b": "-o BindAddress=ADDRESS",
	"G": "-v shows the settings for a target; for all of them: ssh -G TARGET",
}

// Elsewhere is Env.Elsewhere of a command with these options, and more.
func Elsewhere(more map[string]string) map[string]string {
	maps.Copy(more, elsewhere)
	return more
}

// Flags registers the options.
func (o *Options) Flags(fs *pflag.FlagSet) {
	o.flags = fs
	fs.Func("hosts", "read targets from `file`, one per line (-: standard input)", func(file string) error {
		switch {
		case file == "": // of an unset variable; without a list this machine would be meant
			return errors.New("it names no file")
		case o.Hosts != "":
			return errors.New("only one list is read: cat both into --hosts -")
		}
		o.Hosts = file
		return nil
	})
	fs.StringVarP(&o.Connect.ConfigFile, "config", "F", "", "ssh_config `file`, instead of the user's and the system's")
	fs.StringVarP(&o.Connect.Jump, "jump", "J", "", "go through the jump host `destination`, or several separated by commas")
	fs.StringVarP(&o.Connect.User, "login", "l", "", "log in as `user` if the target names none")
	fs.IntVarP(&o.Connect.Port, "port", "p", 0, "connect to `port` if the target names none")
	fs.StringArrayVarP(&o.Connect.Options, "option", "o", nil, "`KEY=VALUE` of ssh_config(5)")
	fs.StringVar(&o.Connect.HostKey, "host-key", "", "trust exactly the host key with this `fingerprint` (SHA256:...)")
	fs.StringVar(&o.Connect.PasswordFile, "password-file", "", "first line of `file` is the password")
	fs.StringVar(&o.Passwords, "passwords", "", "each line of `file` is a target, a TAB and its password")
	fs.StringVar(&o.Connect.PassphraseFile, "passphrase-file", "", "first line of `file` is the passphrase of the private keys")
	fs.DurationVar(&o.Connect.Timeout, "timeout", 30*time.Second, "take at most this long for one target")
	fs.DurationVar(&o.Wait, "wait", 0, "wait up to this long for a target to be up, such as 5m for a first boot")
	fs.IntVarP(&o.Jobs, "jobs", "j", 256, "work on `n` targets at once")
	fs.BoolVar(&o.KeepOrder, "keep-order", false, "records in the order of the targets")
}

// A Target is one that can be worked on.
type Target struct {
	Text        string
	Destination destination.Destination
}

// Patterns are compiled when they are first asked for, here as elsewhere: a program
// starts sooner, and most runs need none.
var fingerprint = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^SHA256:[A-Za-z0-9+/]{43}$`) })

// Check judges the options and operands before anything is done. What could
// be an option, or a pattern of known_hosts, is no target.
func (o *Options) Check(operands []string) ([]Target, error) {
	if err := cli.NotEmpty(o.flags, "config", "jump", "login", "host-key", "password-file", "passwords", "passphrase-file"); err != nil {
		return nil, err
	}
	for _, option := range o.Connect.Options {
		if err := sshconfig.CheckOption(option); err != nil {
			return nil, cli.Usagef("-o %s: %v", record.Escape(option), err)
		}
	}
	var list []Target
	for _, operand := range operands {
		d, err := destination.Parse(operand)
		if err != nil || strings.HasSuffix(operand, ".pub") { // which no name of a machine ends in
			if _, missing := os.Stat(operand); missing == nil {
				err = cmp.Or(err, fmt.Errorf("target %s: a public key", operand))
				place := "a key goes after -i, a list of targets after --hosts"
				if o.flags.Lookup("log") != nil { // pikeyfix
					place = "a list of targets goes after --hosts, a log right after --log"
				}
				return nil, cli.WithHint(err, "there is a file of that name: %s", place)
			}
		}
		if err != nil {
			return nil, cli.Usagef("%v", err)
		}
		list = append(list, Target{operand, d})
	}
	switch {
	case o.Jobs < 1:
		return nil, cli.Usagef("-j %d: at least 1", o.Jobs)
	case o.Connect.Timeout <= 0:
		return nil, cli.Usagef("--timeout %v: more than 0, such as 30s or 2m", o.Connect.Timeout)
	case o.Wait < 0:
		return nil, cli.Usagef("--wait %v: more than 0, such as 5m", o.Wait)
	case o.flags.Changed("port") && (o.Connect.Port < 1 || o.Connect.Port > 65535):
		return nil, cli.Usagef("-p %d: between 1 and 65535", o.Connect.Port)
	case o.Connect.HostKey != "" && !fingerprint().MatchString(o.Connect.HostKey):
		return nil, cli.Usagef("--host-key %s: not a fingerprint as ssh-keygen -l prints it, SHA256:...", o.Connect.HostKey)
	case o.Connect.HostKey != "" && (len(list) != 1 || o.Hosts != ""):
		return nil, cli.Usagef("--host-key trusts one key for one target: give exactly one")
	}
	if file := o.Connect.ConfigFile; file != "" && !strings.EqualFold(file, "none") {
		if err := canOpen(file); err != nil { // as ssh, which ends with 255 then: no target has a configuration
			return nil, fmt.Errorf("-F %w", err)
		}
	}
	for _, file := range []struct{ option, path string }{
		{"passwords", o.Passwords}, {"password-file", o.Connect.PasswordFile}, {"passphrase-file", o.Connect.PassphraseFile},
	} {
		if file.path == "" {
			continue
		}
		if err := secret.CheckFile(file.path); err != nil {
			return nil, fmt.Errorf("--%s %w", file.option, err)
		}
	}
	return list, nil
}

// canOpen returns why a file cannot be opened, without waiting for the other end of
// a pipe.
func canOpen(path string) error {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}

// Side calls do with what holds on this side for a host that nobody has
// configured.
func (o *Options) Side(ctx context.Context, env *cli.Env, do func(context.Context, *connect.Host) error) error {
	connector, err := o.connector(env)
	if err != nil {
		return err
	}
	defer connector.Close()
	ctx, cancel := connector.Deadline(ctx)
	defer cancel()
	// RFC 2606 section 2 keeps the name from ever being a host's.
	host, err := connector.Host(ctx, record.Local, destination.Destination{Host: "host.invalid"})
	if err != nil {
		return err
	}
	return do(ctx, host)
}

// Here does work about this machine, given what holds for a host that nobody
// has configured, and emits the records that it returns.
func (o *Options) Here(ctx context.Context, env *cli.Env, work func(ctx context.Context, host *connect.Host, home string) []record.Record) error {
	err := o.Side(ctx, env, func(ctx context.Context, host *connect.Host) error {
		for _, r := range work(ctx, host, o.Connect.Home) {
			env.Emit(r)
		}
		return nil
	})
	if err != nil {
		env.Emit(diagnose.Config(ctx, err))
	}
	return nil
}

func (o *Options) connector(env *cli.Env) (*connect.Connector, error) {
	home, err := hostfs.Home(env.Getenv)
	if err != nil {
		return nil, err
	}
	o.Connect.Home, o.Connect.Getenv = home, env.Getenv
	o.Connect.Note, o.Connect.Trace, o.Connect.Hold = env.Notef, env.Tracef, env.Hold
	return connect.New(o.Connect), nil
}
