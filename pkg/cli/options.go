package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"pi-key-tools/pkg/record"
)

// Flags returns a flag set with the options that all four commands share.
// synopsis has the lines that follow "usage: " in the help.
func (env *Env) Flags(synopsis string) *pflag.FlagSet {
	fs := pflag.NewFlagSet(env.Name, pflag.ContinueOnError)
	fs.SortFlags = false
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	fs.BoolP("help", "h", false, "print this help and exit")
	fs.Bool("version", false, "print the version and exit")
	fs.CountVarP(&env.Verbose, "verbose", "v", "say why each step is taken; repeat for more``")
	fs.BoolVarP(&env.Quiet, "quiet", "q", false, "no notes on standard error, only errors")
	fs.BoolVar(&env.JSON, "json", false, "records as JSON, one object per line")
	fs.SetAnnotation("help", "synopsis", strings.Split(synopsis, "\n"))
	return fs
}

// errAnswered ends a command whose -h or --version has been answered.
var errAnswered = errors.New("answered")

// Parse parses env.Args and returns the operands; from then on a signal ends
// the run in an orderly way. It handles -h and --version itself; its error must
// be returned to Run unchanged.
func (env *Env) Parse(fs *pflag.FlagSet) ([]string, error) {
	if err := fs.Parse(env.Args); err != nil {
		if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok && env.Elsewhere[unknown.GetSpecifiedName()] != "" {
			return nil, WithHint(wording(err), "%s", env.Elsewhere[unknown.GetSpecifiedName()])
		}
		return nil, Usagef("%v", wording(err))
	}
	if help, _ := fs.GetBool("help"); help {
		var b strings.Builder
		for i, line := range fs.Lookup("help").Annotations["synopsis"] {
			b.WriteString([]string{"usage: ", "       "}[min(i, 1)] + line + "\n")
		}
		// pflag writes "file[="default"]" for a value that may be left out.
		usages := fs.FlagUsages()
		fs.VisitAll(func(f *pflag.Flag) {
			name, _ := pflag.UnquoteUsage(f)
			long := fmt.Sprintf("%s[=%q]", name, f.NoOptDefVal)
			usages = strings.Replace(usages, long, fmt.Sprintf("%-*s", len(long), "["+name+"]"), 1)
		})
		fmt.Fprintf(&b, "\n%s\nSee %s(1), pi-key-tools(7) and pi-key-causes(7).\n", usages, env.Name)
		env.Print([]byte(b.String()))
		return nil, errAnswered
	}
	if version, _ := fs.GetBool("version"); version {
		env.Print([]byte(env.Name + " (pi-key-tools) " + Version + "\n"))
		return nil, errAnswered
	}
	if env.listen != nil {
		env.listen()
	}
	return fs.Args(), nil
}

// wording says an error of pflag as getopt(3) and the manual pages would: with
// options and arguments, and without the names of Go's functions.
func wording(err error) error {
	var unknown *pflag.NotExistError
	var bare *pflag.ValueRequiredError
	var value *pflag.InvalidValueError
	option := func(name, group string) string {
		if group != "" {
			return "-" + name
		}
		return "--" + name
	}
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("unknown option %s", option(unknown.GetSpecifiedName(), unknown.GetSpecifiedShortnames()))
	case errors.As(err, &bare):
		return fmt.Errorf("%s needs an argument", option(bare.GetSpecifiedName(), bare.GetSpecifiedShortnames()))
	case errors.As(err, &value):
		f, why := value.GetFlag(), value.Unwrap().Error()
		switch f.Value.Type() {
		case "int":
			why = "not a number"
			if errors.Is(value, strconv.ErrRange) {
				why = "too large a number"
			}
		case "bool":
			why = "the option takes no argument"
		case "duration":
			why = "not digits with a unit, such as 30s, 2m or 1m30s"
		}
		name := option(cmp.Or(f.Shorthand, f.Name), f.Shorthand)
		return fmt.Errorf("%s %s: %s", name, record.Escape(value.GetValue()), why)
	}
	return err
}

// Usagef returns the error of a command line that is not acceptable.
func Usagef(format string, args ...any) error {
	return hintError{fmt.Errorf(format, args...), "-h lists the options"}
}

// NotEmpty returns an error for options that were given an empty value, as from
// a script's unset variable: what they should restrict or name is not silently
// omitted.
func NotEmpty(fs *pflag.FlagSet, names ...string) error {
	for _, name := range names {
		if fs.Changed(name) && strings.TrimSpace(fs.Lookup(name).Value.String()) == "" {
			return Usagef("--%s is empty", name)
		}
	}
	return nil
}
