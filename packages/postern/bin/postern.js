#!/usr/bin/env node
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const cli = pathToFileURL(createRequire(import.meta.url).resolve('@postern/cli'))
await import(new URL('../bin/postern.js', cli))
