// Verify checks an exported ledger with Go's own note and tlog packages, and nothing of ours.
//
//	verify DIR [-policy FILE] [-grown SIZE:ROOT]... [-receipt FILE:LEAFFILE]...
//	verify DIR [-witness VKEY]... [-quorum N] [-grown SIZE:ROOT]... [-receipt FILE:LEAFFILE]...
//	verify post DIR HOST:PORT VKEY
//
// It opens the checkpoint with the key in DIR/vkey, looks whether enough witnesses cosigned it (by a
// tlog-policy; or all that are named, or as many as -quorum says), authenticates every tile by the
// root that was signed, compares every entry with its tile, proves and checks records, and prints
// what it found. A receipt brings a checkpoint of its own, of which the same is asked.
package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const width = 256

// cosigner verifies timestamped Ed25519 cosignatures (tlog-cosignature, type 0x04), which the note
// package does not know.
type cosigner struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func (c cosigner) Name() string    { return c.name }
func (c cosigner) KeyHash() uint32 { return c.hash }

func (c cosigner) Verify(msg, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	at := binary.BigEndian.Uint64(sig)
	signed := fmt.Sprintf("cosignature/v1\ntime %d\n%s", at, msg)
	return at > 0 && ed25519.Verify(c.key, []byte(signed), sig[8:])
}

func newCosigner(vkey string) (note.Verifier, error) {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) != 3 {
		return nil, errors.New("malformed witness key")
	}
	typed, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(typed) != 1+ed25519.PublicKeySize || typed[0] != 0x04 {
		return nil, errors.New("witness key is not of type 0x04")
	}
	sum := sha256.Sum256(append([]byte(parts[0]+"\n"), typed...))
	hash := binary.BigEndian.Uint32(sum[:])
	if fmt.Sprintf("%08x", hash) != parts[1] {
		return nil, errors.New("witness key has a wrong id")
	}
	return cosigner{parts[0], hash, typed[1:]}, nil
}

// tiles reads the static files of a tlog-tiles ledger.
type tiles struct{ dir string }

func (t tiles) Height() int                     { return 8 }
func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}
func (t tiles) path(tile tlog.Tile) string {
	return filepath.Join(t.dir, strings.Replace(tile.Path(), "tile/8/", "tile/", 1))
}

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range wanted {
		data, err := os.ReadFile(t.path(tile))
		if err != nil {
			return nil, err
		}
		found = append(found, data)
	}
	return found, nil
}

// bundle reads the entries below the n-th level-0 tile.
func (t tiles) bundle(n, size int64) ([][]byte, error) {
	tile := tlog.Tile{H: 8, L: 0, N: n, W: int(min(width, size-n*width))}
	path := strings.Replace(t.path(tile), "/tile/0/", "/tile/entries/", 1)
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var entries [][]byte
	for len(data) > 0 {
		if len(data) < 2 {
			return nil, fmt.Errorf("%s is torn", path)
		}
		length := int(binary.BigEndian.Uint16(data))
		if len(data) < 2+length {
			return nil, fmt.Errorf("%s is torn", path)
		}
		entries, data = append(entries, data[2:2+length]), data[2+length:]
	}
	if len(entries) != tile.W {
		return nil, fmt.Errorf("%s has %d entries, not %d", path, len(entries), tile.W)
	}
	return entries, nil
}

type checkpoint struct {
	origin string
	size   int64
	root   tlog.Hash
	signed []note.Signature
}

func openCheckpoint(data []byte, verifiers note.Verifiers, origin string) (c checkpoint, err error) {
	opened, err := note.Open(data, verifiers)
	if err != nil {
		return c, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[3] != "" || lines[0] != origin {
		return c, errors.New("not a checkpoint of " + origin)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return c, err
	}
	root, err := tlog.ParseHash(lines[2])
	return checkpoint{lines[0], size, root, opened.Sigs}, err
}

func checkEntries(t tiles, c checkpoint) error {
	reader := tlog.TileHashReader(tlog.Tree{N: c.size, Hash: c.root}, t)
	for n := int64(0); n*width < c.size; n++ {
		entries, err := t.bundle(n, c.size)
		if err != nil {
			return err
		}
		indexes := make([]int64, len(entries))
		for i := range entries {
			indexes[i] = tlog.StoredHashIndex(0, n*width+int64(i))
		}
		hashes, err := reader.ReadHashes(indexes)
		if err != nil {
			return err
		}
		for i, entry := range entries {
			if tlog.RecordHash(entry) != hashes[i] {
				return fmt.Errorf("entry %d is not the one that was signed", n*width+int64(i))
			}
		}
		at := n*width + int64(len(entries))/2
		proof, err := tlog.ProveRecord(c.size, at, reader)
		if err != nil {
			return err
		}
		if err := tlog.CheckRecord(proof, c.size, c.root, at, tlog.RecordHash(entries[at-n*width])); err != nil {
			return err
		}
	}
	return nil
}

func checkGrown(t tiles, c checkpoint, given string) error {
	text, encoded, _ := strings.Cut(given, ":")
	size, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return err
	}
	root, err := tlog.ParseHash(encoded)
	if err != nil {
		return err
	}
	reader := tlog.TileHashReader(tlog.Tree{N: c.size, Hash: c.root}, t)
	proof, err := tlog.ProveTree(c.size, size, reader)
	if err != nil {
		return err
	}
	return tlog.CheckTree(proof, c.size, c.root, size, root)
}

// enough says whether those who signed a checkpoint are as many as have to.
type enough func(checkpoint) error

func checkReceipt(verifiers note.Verifiers, origin, given string, asked enough) error {
	file, leafFile, _ := strings.Cut(given, ":")
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	leaf, err := os.ReadFile(leafFile)
	if err != nil {
		return err
	}
	head, signed, found := strings.Cut(string(data), "\n\n")
	lines := strings.Split(head, "\n")
	if !found || len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return errors.New("not a receipt")
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	if err != nil {
		return err
	}
	var proof tlog.RecordProof
	for _, line := range lines[2:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return err
		}
		proof = append(proof, hash)
	}
	c, err := openCheckpoint([]byte(signed), verifiers, origin)
	if err != nil {
		return err
	}
	if err := asked(c); err != nil {
		return fmt.Errorf("receipt %s: %w", file, err)
	}
	return tlog.CheckRecord(proof, c.size, c.root, index, tlog.RecordHash(leaf))
}

func run(dir string, options []string) error {
	vkey, err := os.ReadFile(filepath.Join(dir, "vkey"))
	if err != nil {
		return err
	}
	log, err := note.NewVerifier(strings.TrimSuffix(string(vkey), "\n"))
	if err != nil {
		return err
	}
	known, quorum := []note.Verifier{log}, -1
	var grown, receipts []string
	var trusted *policy
	if len(options)%2 != 0 {
		return errors.New("an option has no value: " + options[len(options)-1])
	}
	for i := 0; i+1 < len(options); i += 2 {
		switch options[i] {
		case "-witness":
			witness, err := newCosigner(options[i+1])
			if err != nil {
				return err
			}
			known = append(known, witness)
		case "-policy":
			if trusted, err = readPolicy(options[i+1]); err != nil {
				return err
			}
			known = append(known, trusted.verifiers()...)
		case "-quorum":
			if quorum, err = strconv.Atoi(options[i+1]); err != nil || quorum < 0 {
				return errors.New("a quorum is a number, not " + options[i+1])
			}
		case "-grown":
			grown = append(grown, options[i+1])
		case "-receipt":
			receipts = append(receipts, options[i+1])
		default:
			return errors.New("unknown option " + options[i])
		}
	}
	verifiers := note.VerifierList(known...)
	data, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if err != nil {
		return err
	}
	c, err := openCheckpoint(data, verifiers, log.Name())
	if err != nil {
		return err
	}
	asked := func(c checkpoint) error {
		if trusted != nil {
			return trusted.accepts(log, c)
		}
		if quorum < 0 {
			quorum = len(known) - 1
		}
		if len(c.signed)-1 < quorum {
			return fmt.Errorf("%d witnesses cosigned, not %d", len(c.signed)-1, quorum)
		}
		return nil
	}
	if err := asked(c); err != nil {
		return err
	}
	if err := checkEntries(tiles{dir}, c); err != nil {
		return err
	}
	for _, given := range grown {
		if err := checkGrown(tiles{dir}, c, given); err != nil {
			return err
		}
	}
	for _, given := range receipts {
		if err := checkReceipt(verifiers, log.Name(), given, asked); err != nil {
			return err
		}
	}
	fmt.Printf("%s %d %s\n", c.origin, c.size, c.root)
	return nil
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: verify DIR [-policy FILE] [-witness VKEY] [-quorum N] [-grown SIZE:ROOT] [-receipt FILE:LEAFFILE]")
		os.Exit(2)
	}
	work := func() error { return run(os.Args[1], os.Args[2:]) }
	if os.Args[1] == "post" && len(os.Args) == 5 {
		work = func() error { return post(os.Args[2], os.Args[3], os.Args[4]) }
	}
	if err := work(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
