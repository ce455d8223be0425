// node --import <this file> <program>: the program ends when its standard input does. Its worker threads import this file too.
import { isMainThread } from 'node:worker_threads'

if (isMainThread) process.stdin.resume().on('end', () => process.exit())
