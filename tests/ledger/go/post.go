package main

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// post sends an exported ledger's checkpoint to a witness (C2SP tlog-witness, add-checkpoint), with
// a proof of growth from the size that the witness says it has, and checks the cosignature.
func post(dir, address, witness string) error {
	vkey, err := os.ReadFile(filepath.Join(dir, "vkey"))
	if err != nil {
		return err
	}
	log, err := note.NewVerifier(strings.TrimSuffix(string(vkey), "\n"))
	if err != nil {
		return err
	}
	data, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if err != nil {
		return err
	}
	c, err := openCheckpoint(data, note.VerifierList(log), log.Name())
	if err != nil {
		return err
	}
	status, kind, answer, err := addCheckpoint(address, growth(tiles{dir}, c, 0), data)
	if err == nil && status == 409 {
		if kind != "text/x.tlog.size" {
			return errors.New("a size of another type: " + kind)
		}
		old, broken := strconv.ParseInt(strings.TrimSuffix(string(answer), "\n"), 10, 64)
		if broken != nil {
			return broken
		}
		status, _, answer, err = addCheckpoint(address, growth(tiles{dir}, c, old), data)
	}
	if err != nil {
		return err
	}
	if status != 200 {
		return fmt.Errorf("the witness answered %d: %s", status, answer)
	}
	key, err := newCosigner(witness)
	if err != nil {
		return err
	}
	opened, err := note.Open(append(data, answer...), note.VerifierList(log, key))
	if err != nil {
		return err
	}
	if len(opened.Sigs) != 2 {
		return errors.New("the witness did not cosign this checkpoint")
	}
	fmt.Printf("%s %d %s\n", c.origin, c.size, c.root)
	return nil
}

// growth begins a request: the old size, and the proof from there.
func growth(t tiles, c checkpoint, old int64) string {
	lines := fmt.Sprintf("old %d\n", old)
	if old > 0 && old <= c.size {
		reader := tlog.TileHashReader(tlog.Tree{N: c.size, Hash: c.root}, t)
		proof, err := tlog.ProveTree(c.size, old, reader)
		if err != nil {
			return err.Error()
		}
		for _, hash := range proof {
			lines += base64.StdEncoding.EncodeToString(hash[:]) + "\n"
		}
	}
	return lines + "\n"
}

// addCheckpoint speaks just enough HTTP; Go's own would take half a minute to compile.
func addCheckpoint(address, head string, data []byte) (int, string, []byte, error) {
	connection, err := net.Dial("tcp", address)
	if err != nil {
		return 0, "", nil, err
	}
	defer connection.Close()
	body := head + string(data)
	fmt.Fprintf(connection, "POST /add-checkpoint HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n"+
		"Content-Length: %d\r\n\r\n%s", address, len(body), body)
	reader := textproto.NewReader(bufio.NewReader(connection))
	first, err := reader.ReadLine()
	if err != nil {
		return 0, "", nil, err
	}
	words := strings.SplitN(first, " ", 3)
	if len(words) < 2 || words[0] != "HTTP/1.1" {
		return 0, "", nil, errors.New("no answer of HTTP: " + first)
	}
	status, err := strconv.Atoi(words[1])
	if err != nil {
		return 0, "", nil, err
	}
	headers, err := reader.ReadMIMEHeader()
	if err != nil {
		return 0, "", nil, err
	}
	answer, err := io.ReadAll(reader.R)
	return status, headers.Get("Content-Type"), answer, err
}
