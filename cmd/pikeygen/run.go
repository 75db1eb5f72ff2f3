package main

import (
	"cmp"
	"context"
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"pi-key-tools/pkg/cli"
	"pi-key-tools/pkg/identity"
	"pi-key-tools/pkg/sshkey"
)

const synopsis = `pikeygen [-n] [-t type] [-b bits] [-C comment] [-f file] [-a rounds] [--passphrase-file file] [--format format]
pikeygen -y [-n] [-f file] [--passphrase-file file] [--format format]
pikeygen -p [-n] -f file [-N '' | --new-passphrase-file file] [-a rounds] [--passphrase-file file]
pikeygen -l [-v] [-f file | file ... | -]
pikeygen -s ca [-U] -I id -n principals [-V validity] [-z serial] [-O option] ... [--passphrase-file file] file ... | -`

// A command is what the options say.
type command struct {
	*cli.Env
	spec           identity.Spec
	anyType        bool   // -t was not given: a pair of every type is right
	file           string // -f; "" for ssh's default names
	passphraseFile string
	newFile        string // of the new passphrase, with -p
	format         format
	dryRun         bool
	operands       []string
	signing        // with -s
}

// elsewhere are letters of ssh-keygen(1).
func elsewhere() map[string]string {
	return map[string]string{
		"A": "host keys are made on the server, by root: ssh-keygen -A",
		"c": "ssh-keygen -c -f FILE",
		"D": "ssh-keygen -D PROVIDER",
		"E": "ssh-keygen -l -E md5 -f FILE",
		"e": "--format rfc4716, or pem",
		"F": "ssh-keygen -F HOST",
		"H": "ssh-keygen -H",
		"i": "ssh-keygen -i -f FILE; pikeycopy -i FILE takes RFC 4716 as it is",
		"K": "ssh-keygen -K",
		"k": "ssh-keygen -k -f KRL FILE",
		"L": "ssh-keygen -L -f FILE",
		"m": "--format rfc4716, or pem",
		"o": "new keys have OpenSSH's own format without it",
		"P": "others can see the arguments of a program: --passphrase-file FILE",
		"Q": "ssh-keygen -Q -f KRL FILE",
		"R": "ssh-keygen -R HOST; or, to put another key in its place: pikeycheck --host-key SHA256:... TARGET",
		"r": "ssh-keygen -r HOST",
		"Y": "ssh-keygen -Y",
		"Z": "ssh-keygen -p -Z CIPHER -f FILE",
	}
}

func run(ctx context.Context, env *cli.Env) error {
	// With -s, -n names users, as in ssh-keygen.
	dryRun, principals := "n", ""
	if slices.ContainsFunc(env.Args, mayBeSign) {
		_, fs := define(env, "", "n")
		if err := fs.Parse(env.Args); fs.Changed("sign") {
			dryRun, principals = principals, dryRun
			if err == nil && fs.Changed("help") {
				return cli.WithHint(errors.New("-h is for help, and -s signs user keys only: host certificates are made by ssh-keygen"),
					"ssh-keygen -s CA -I ID -h -n HOSTS FILE; and -h alone lists the options here")
			}
		}
	}
	env.Elsewhere = elsewhere()
	c, fs := define(env, dryRun, principals)
	var err error
	if c.operands, err = env.Parse(fs); err != nil {
		return err
	}
	mode, err := modeOf(fs)
	if err != nil {
		return err
	}
	if err := c.check(fs, mode); err != nil {
		return err
	}
	switch mode {
	case "list":
		return c.list(ctx)
	case "public":
		return c.public(ctx)
	case "change-passphrase":
		return c.changePassphrase(ctx, fs.Changed("new-passphrase"))
	case "sign":
		return c.sign(ctx)
	}
	return c.findOrMake(ctx)
}

// mayBeSign reports whether an argument may be, or hold, -s or --sign.
func mayBeSign(arg string) bool { return strings.HasPrefix(arg, "-") && strings.Contains(arg, "s") }

// define makes the options anew. -n can be that of --dry-run or of --principals.
func define(env *cli.Env, dryRun, principals string) (*command, *pflag.FlagSet) {
	c := &command{Env: env}
	fs := env.Flags(synopsis)
	fs.StringVarP(&c.spec.Type, "type", "t", "", "use only a pair of this `type`: ed25519 (the default for a new one), rsa, ecdsa")
	fs.IntVarP(&c.spec.Bits, "bits", "b", 0, "length of a new key in `bits`; default: 3072 for rsa, 256 for ecdsa")
	fs.StringVarP(&c.spec.Comment, "comment", "C", "", "`comment` of a new key; default: user@host")
	fs.StringVarP(&c.file, "file", "f", "", "use this private key `file`, instead of ssh's default names")
	fs.StringP("new-passphrase", "N", "", "only '' is accepted, for no `passphrase`, the default for a new key")
	fs.StringVar(&c.passphraseFile, "passphrase-file", "", "first line of `file` is the passphrase; with -p the old one")
	fs.IntVarP(&c.spec.Rounds, "rounds", "a", 0, "`rounds` of bcrypt for a new passphrase; default: 24")
	fs.BoolP("change-passphrase", "p", false, "change, add or remove the passphrase of a private key")
	fs.StringVar(&c.newFile, "new-passphrase-file", "", "with -p: first line of `file` is the new passphrase")
	fs.StringVar(&c.format.name, "format", "openssh", "`form` of the public key: "+strings.Join(formats, ", "))
	fs.StringVar(&c.format.options, "options", "", "put these `options` of sshd(8) before the key, with --format authorized_keys, cloud-init or imager")
	fs.BoolP("public", "y", false, "print the public key of a private key file; rebuild a missing .pub")
	fs.BoolP("list", "l", false, "list the existing keys as records, with -v as randomart; -: public keys on standard input")
	fs.BoolVarP(&c.dryRun, "dry-run", dryRun, false, "write nothing; say what would be made (with -s: --dry-run only)")
	fs.StringVarP(&c.authority, "sign", "s", "", "sign certificates for the keys, with the authority's key in `file`")
	fs.BoolVarP(&c.agent, "agent", "U", false, "with -s: sign with the authority's key in the agent; the file is its public half")
	fs.StringVarP(&c.says.ID, "id", "I", "", "with -s: key `identity` of the certificate, which servers log")
	fs.StringVarP(&c.says.Principals, "principals", principals, "", "with -s (short: -n): `users` to log in as, separated by commas")
	fs.StringVarP(&c.says.Validity, "validity", "V", "", "with -s: `interval` of validity, such as +52w or 20260101:20270101; default: forever")
	fs.StringVarP(&c.serial, "serial", "z", "0", "with -s: serial `number`; with a + before it, incremented for each further certificate")
	fs.StringArrayVarP(&c.says.Options, "cert-option", "O", nil, "with -s: an `option` such as source-address=192.168.1.0/24, no-pty, clear; repeatable")
	return c, fs
}

// modes are what can be done instead of finding or making, with the options that
// say nothing there.
var modes = map[string][]string{
	"list":              {"type", "bits", "comment", "new-passphrase", "passphrase-file", "dry-run", "rounds", "format", "options"},
	"public":            {"type", "bits", "comment", "new-passphrase", "rounds"},
	"change-passphrase": {"type", "bits", "comment", "format", "options"},
	"sign":              {"type", "bits", "comment", "file", "new-passphrase", "rounds", "format", "options"},
}

// only are the options of one mode.
var only = map[string]string{
	"agent": "sign", "id": "sign", "principals": "sign", "validity": "sign", "serial": "sign", "cert-option": "sign",
	"new-passphrase-file": "change-passphrase",
}

// modeOf returns the one mode that is asked for, or "".
func modeOf(fs *pflag.FlagSet) (mode string, err error) {
	fs.Visit(func(f *pflag.Flag) {
		switch {
		case modes[f.Name] == nil || err != nil:
		case mode != "":
			err = cli.Usagef("-l, -y, -p and -s exclude one another")
		default:
			mode = f.Name
		}
	})
	fs.Visit(func(f *pflag.Flag) {
		switch {
		case err != nil:
		case slices.Contains(modes[mode], f.Name):
			err = cli.Usagef("--%s has no effect with -%s", f.Name, fs.Lookup(mode).Shorthand)
		case only[f.Name] != "" && only[f.Name] != mode:
			err = cli.Usagef("--%s is for %s", f.Name, map[string]string{"sign": "certificates: -s CA", "change-passphrase": "-p"}[only[f.Name]])
		}
	})
	return mode, err
}

// check judges the command line, and fills in what it leaves open.
func (c *command) check(fs *pflag.FlagSet, mode string) error {
	if value, _ := fs.GetString("new-passphrase"); value != "" {
		file := "--passphrase-file"
		if mode == "change-passphrase" {
			file = "--new-passphrase-file"
		}
		return cli.WithHint(errors.New("-N with a passphrase is refused: whoever is on this machine can read a program's arguments"),
			"let it be the first line of a file: %s FILE; FILE may be <(pass show NAME)", file)
	}
	if err := cli.NotEmpty(fs, "options"); err != nil {
		return err
	}
	list, sign := mode == "list", mode == "sign"
	switch {
	case len(c.operands) > 0 && !list && !sign:
		return cli.Usagef("no operand is expected, but there is %q: the file goes after -f", c.operands[0])
	case len(c.operands) > 0 && c.file != "":
		return cli.Usagef("-l takes -f or operands, not both")
	case fs.Changed("file") && c.file == "":
		return cli.Usagef("-f names no file")
	case c.file == "-" && !list:
		return cli.Usagef("-f -: a private key is not read from standard input")
	case mode == "" && fs.Changed("new-passphrase") && fs.Changed("passphrase-file"):
		return cli.Usagef("-N '' and --passphrase-file cannot go together")
	case fs.Changed("new-passphrase") && fs.Changed("new-passphrase-file"):
		return cli.Usagef("-N '' and --new-passphrase-file cannot go together")
	case fs.Changed("passphrase-file") && c.passphraseFile == "":
		return cli.Usagef("--passphrase-file names no file")
	case fs.Changed("new-passphrase-file") && c.newFile == "":
		return cli.Usagef("--new-passphrase-file names no file")
	case fs.Changed("rounds") && c.spec.Rounds < 1:
		return cli.Usagef("-a takes the number of rounds, 1 or more")
	case fs.Changed("validity") && c.says.Validity == "":
		return cli.Usagef("-V names no interval") // of an unset variable: forever it is not
	case mode == "change-passphrase" && c.file == "":
		return cli.Usagef("-p needs -f FILE")
	case fs.Changed("bits") && !fs.Changed("type"):
		return cli.Usagef("-b needs -t rsa or -t ecdsa")
	}
	if sign {
		if err := c.signing.check(c.operands); err != nil {
			return cli.Usagef("%v", err)
		}
		return nil
	}
	c.anyType = !fs.Changed("type")
	if c.anyType {
		c.spec.Type = "ed25519"
	}
	if mode == "" && !fs.Changed("comment") {
		c.spec.Comment = defaultComment()
	}
	if err := cmp.Or(c.spec.Check(), c.format.check()); err != nil {
		return cli.Usagef("%v", err)
	}
	if !list {
		c.file = strings.TrimSuffix(c.file, ".pub") // either half names the pair
	}
	if c.file == "" && len(c.operands) == 0 && c.home() == "" {
		return cli.WithHint(errors.New("HOME is not set, so there is no ~/.ssh to look in"), "name the file: -f FILE")
	}
	return nil
}

// home is where ~/.ssh is, or "".
func (c *command) home() string {
	if home := c.Getenv("HOME"); home != "" || runtime.GOOS != "windows" {
		return home
	}
	return c.Getenv("USERPROFILE")
}

func (c *command) folder() string { return filepath.Join(c.home(), ".ssh") }

// files are the private key files to look at, in ssh's order.
func (c *command) files() []string {
	if c.file != "" {
		return []string{c.file}
	}
	files := slices.Clone(sshkey.DefaultNames)
	for i, name := range files {
		files[i] = filepath.Join(c.folder(), name)
	}
	return files
}

// target is the file that a new private key goes to; files has it too.
func (c *command) target() string {
	if c.file != "" {
		return c.file
	}
	return filepath.Join(c.folder(), "id_"+c.spec.Type)
}

// defaultComment is user@host, as ssh-keygen has it.
func defaultComment() string {
	name := ""
	if u, err := user.Current(); err == nil {
		name = u.Username[strings.LastIndexByte(u.Username, '\\')+1:] // DOMAIN\user
	}
	host, err := os.Hostname()
	if err != nil || name == "" {
		return name + host
	}
	return name + "@" + host
}
